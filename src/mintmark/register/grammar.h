/* What the bytes of a register log may be: see grammar.c. */
#ifndef MINTMARK_GRAMMAR_H
#define MINTMARK_GRAMMAR_H

enum { DIGEST = 32 };

typedef struct {
    const unsigned char *at, *end;
} Text;

typedef struct {
    Text key, timestamp;
    unsigned char item_hash[DIGEST];
    int has_hash; /* 0: a tombstone */
    int user;     /* 0: a system entry */
} Leaf;

/* Whether the text is a leaf, as entry.parse_entry has it. */
int parse_leaf(Text text, Leaf *leaf);

/* Whether the text is an item, as item.parse_item has it. */
int is_item(Text text);

#endif
