/* The grammar of leaves and items: canonical JSON (openregister specification v1), read strictly, byte by byte. No Python in it.
 *
 * Both are hostile. A `Text` is what is left of one: whoever takes from it checks that it is there.
 */
#include "grammar.h"

#include <string.h>

enum { MAX_KEY = 255 };

static inline int
take(Text *text, const char *literal)
{
    size_t length = strlen(literal);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, literal, length)) {
        return 0;
    }
    text->at += length;
    return 1;
}

/* The next byte without taking it; -1 at the end. */
static inline int
peek(const Text *text)
{
    return text->at < text->end ? *text->at : -1;
}

static int
hex_value(int digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* 64 lower-case digits. */
static int
take_digest(Text *text, unsigned char *digest)
{
    if (text->end - text->at < 2 * DIGEST) {
        return 0;
    }
    for (int i = 0; i < DIGEST; i++) {
        int high = hex_value(*text->at++), low = hex_value(*text->at++);
        if (high < 0 || low < 0) {
            return 0;
        }
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return 1;
}

/* So many decimal digits; -1 for anything else. */
static int
take_number(Text *text, int digits)
{
    int value = 0;
    for (; digits > 0; digits--) {
        int digit = peek(text) - '0';
        if (digit < 0 || digit > 9) {
            return -1;
        }
        value = 10 * value + digit;
        text->at++;
    }
    return value;
}

/* YYYY-MM-DDTHH:MM:SSZ, a real date. */
static int
take_timestamp(Text *text)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_number(text, 4);
    int month = take(text, "-") ? take_number(text, 2) : -1;
    if (year < 1 || month < 1 || month > 12) {
        return 0;
    }
    int leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    int day = take(text, "-") ? take_number(text, 2) : -1;
    int hour = take(text, "T") ? take_number(text, 2) : -1;
    int minute = take(text, ":") ? take_number(text, 2) : -1;
    int second = take(text, ":") ? take_number(text, 2) : -1;
    return day >= 1 && day <= days[month - 1] + leap && hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 &&
           second >= 0 && second <= 59 && take(text, "Z");
}

/* One character of UTF-8 beyond ASCII: shortest form, no surrogates, at most U+10FFFF (Unicode table 3-7). */
static int
take_multibyte(Text *text)
{
    int first = *text->at++, low = 0x80, high = 0xbf, more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if (first < 0xc2 || first > 0xf4 || text->end - text->at < more) {
        return 0;
    }
    if (first == 0xe0 || first == 0xf0) {
        low = first == 0xe0 ? 0xa0 : 0x90;
    }
    if (first == 0xed || first == 0xf4) {
        high = first == 0xed ? 0x9f : 0x8f;
    }
    for (; more > 0; more--, low = 0x80, high = 0xbf) {
        int next = *text->at++;
        if (next < low || next > high) {
            return 0;
        }
    }
    return 1;
}

/* A key: text without what JSON escapes. */
static int
take_key(Text *text)
{
    const unsigned char *start = text->at;
    for (int c; (c = peek(text)) != '"';) {
        if (c < 0x20 || c == '\\' || !(c < 0x80 ? (text->at++, 1) : take_multibyte(text))) {
            return 0;
        }
    }
    return text->at > start && text->at - start <= MAX_KEY;
}

/* What follows a backslash in canonical JSON, as the character that it stands for; -1 for what is written otherwise, and for
 * U+0000, which no Postgres text holds. */
static int
take_escape(Text *text)
{
    static const char names[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
    const char *name = peek(text) > 0 ? strchr(names, peek(text)) : NULL;
    if (name != NULL) {
        text->at++;
        return meant[name - names];
    }
    int high = take(text, "u001") ? 0x10 : take(text, "u000") ? 0 : -1;
    int digit = peek(text), low = digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : hex_value(digit);
    if (high < 0 || low < 0 || (digit >= 'a' && digit <= 'f')) {
        return -1;
    }
    text->at++;
    int value = high + low;
    return value == 0 || strchr("\b\f\n\r\t", value) ? -1 : value;
}

static int
take_string(Text *text)
{
    if (!take(text, "\"")) {
        return 0;
    }
    for (int c; (c = peek(text)) != '"';) {
        if (c < 0x20) {
            return 0;
        }
        if (c >= 0x80 ? !take_multibyte(text) : (text->at++, c == '\\' && take_escape(text) < 0)) {
            return 0;
        }
    }
    text->at++;
    return 1;
}

/* Whether one string, as it was taken, sorts before another: by code point, which is by byte of what the escapes mean. */
static int
sorts_before(Text left, Text right)
{
    while (left.at < left.end && right.at < right.end) {
        int a = *left.at++, b = *right.at++;
        a = a == '\\' ? take_escape(&left) : a;
        b = b == '\\' ? take_escape(&right) : b;
        if (a != b) {
            return a < b;
        }
    }
    return left.at == left.end && right.at < right.end;
}

/* A string, or a list of strings. */
static int
take_value(Text *text)
{
    if (!take(text, "[")) {
        return take_string(text);
    }
    if (take(text, "]")) {
        return 1;
    }
    do {
        if (!take_string(text)) {
            return 0;
        }
    } while (take(text, ","));
    return take(text, "]");
}

int
is_item(Text text)
{
    if (!take(&text, "{")) {
        return 0;
    }
    if (take(&text, "}")) {
        return text.at == text.end;
    }
    Text before = {NULL, NULL};
    do {
        Text name = {text.at + 1, NULL};
        if (!take_string(&text)) {
            return 0;
        }
        name.end = text.at - 1;
        if ((before.at != NULL && !sorts_before(before, name)) || !take(&text, ":") || !take_value(&text)) {
            return 0;
        }
        before = name;
    } while (take(&text, ","));
    return take(&text, "}") && text.at == text.end;
}

int
parse_leaf(Text text, Leaf *leaf)
{
    leaf->has_hash = take(&text, "{\"item-hash\":\"sha-256:");
    if (leaf->has_hash ? !take_digest(&text, leaf->item_hash) || !take(&text, "\",") : !take(&text, "{")) {
        return 0;
    }
    if (!take(&text, "\"key\":\"")) {
        return 0;
    }
    leaf->key.at = text.at;
    if (!take_key(&text)) {
        return 0;
    }
    leaf->key.end = text.at;
    if (!take(&text, "\",\"timestamp\":\"")) {
        return 0;
    }
    leaf->timestamp.at = text.at;
    if (!take_timestamp(&text)) {
        return 0;
    }
    leaf->timestamp.end = text.at;
    if (!take(&text, "\",\"type\":\"")) {
        return 0;
    }
    leaf->user = take(&text, "user");
    return (leaf->user || take(&text, "system")) && take(&text, "\"}") && text.at == text.end;
}
