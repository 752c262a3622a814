// What "verify in your browser" checks, and nothing of how it looks: C2SP signed-note, tlog-checkpoint,
// tlog-cosignature and tlog-proof, the hashes of RFC 6962, and a register's leaf.
//
// Rules:
//   - Bytes from a server are hostile. What does not print back to the same text is refused.
//   - Numbers are BigInt: a log may have more entries than a double can count.
//   - Only WebCrypto makes a hash or checks a signature. It needs a secure context: https, or localhost.

const HASH = 32;
const MAX_NUMBER = 2n ** 63n - 1n;
const MAX_HASHES = 63;
const MAX_SIGNATURES = 100;
const MAX_NAME = 255;
const HEADER = "c2sp.org/tlog-proof@v1";
const OWN_EXTRA = "mintmark/", PARTS_HEADER = "mintmark/proof@v1\n";
export const ED25519 = 0x01, COSIGNATURE = 0x04, MLDSA44 = 0x06;
const KEY_BYTES = { [ED25519]: 32, [COSIGNATURE]: 32, [MLDSA44]: 1312 };

// y of the Ed25519 points of order 1, 2, 4 and 8: they verify signatures that nobody made.
const P = 2n ** 255n - 19n;
const ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const LOW_ORDER = [0n, 1n, P - 1n, ORDER_8, P - ORDER_8];

// Something that does not hold. The message is one sentence for a person.
export class Fault extends Error {}

export const encode = (text) => new TextEncoder().encode(text);

export function decode(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Fault("The bytes are not UTF-8.");
  }
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

export function base64(text) {
  let binary;
  try {
    binary = atob(text);
  } catch {
    throw new Fault(`${shown(text)} is not base64.`);
  }
  if (btoa(binary) !== text) throw new Fault(`${shown(text)} is not canonical base64.`);
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

export function decimal(text) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) > MAX_NUMBER) {
    throw new Fault(`${shown(text)} is not a number of entries.`);
  }
  return BigInt(text);
}

export function parseHash(text) {
  const bytes = base64(text);
  if (bytes.length !== HASH) throw new Fault(`A hash has ${bytes.length} bytes instead of ${HASH}.`);
  return bytes;
}

const shown = (text) => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

// ---- hashes

export async function sha256(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (bytes.set(part, at), at + part.length), 0);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export const leafHash = (leaf) => sha256([0], leaf);
export const nodeHash = (left, right) => sha256([1], left, right);

// The nodes from a leaf to the root, by RFC 9162 section 2.1.3.2: [{sibling, left, node}], left if the sibling is.
export async function climb(index, size, leaf, hashes) {
  if (index >= size) throw new Fault(`Entry ${index} is not in a tree of ${size}.`);
  let [position, last, node] = [index, size - 1n, leaf];
  const steps = [];
  for (const sibling of hashes) {
    if (last === 0n) throw new Fault("The proof has more hashes than the tree has levels.");
    const left = position % 2n === 1n || position === last;
    node = await (left ? nodeHash(sibling, node) : nodeHash(node, sibling));
    steps.push({ sibling, left, node });
    while (left && position % 2n === 0n && position !== 0n) [position, last] = [position >> 1n, last >> 1n];
    [position, last] = [position >> 1n, last >> 1n];
  }
  if (last !== 0n) throw new Fault("The proof has fewer hashes than the tree has levels.");
  return steps;
}

// ---- items and leaves

// Canonical JSON of an item or a leaf: members sorted (their names are ASCII), control characters with upper-case hex.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name])}`);
    return `{${members.join(",")}}`;
  }
  if (typeof value !== "string") throw new Fault("An item holds strings and lists of strings only.");
  return JSON.stringify(value).replace(/(\\\\)|\\u00([0-9a-f]{2})/g, (all, pair, code) =>
    pair ? all : `\\u00${code.toUpperCase()}`);
}

// The bytes that a register's log holds of an entry; `itemHash` is "sha-256:…", or null where the record ends.
export function formatLeaf({ key, timestamp, type, itemHash }) {
  return encode(canonical({ key, timestamp, type, ...(itemHash === null ? {} : { "item-hash": itemHash }) }));
}

// ---- notes

// {name, id (hex), type, key, text} of <name>+<key ID>+<base64 of type and key>.
export async function parseVkey(text) {
  const [name, id, encoded] = split(text, "+", 3);
  if (encoded === undefined || !/^[0-9a-f]{8}$/.test(id)) throw new Fault("A vkey is <name>+<key ID>+<key>.");
  checkName(name);
  const material = base64(encoded);
  const [type, key] = [material[0], material.slice(1)];
  if (!(type in KEY_BYTES)) throw new Fault(`Keys of type 0x${hex([type ?? 0])} cannot be checked here.`);
  if (key.length !== KEY_BYTES[type]) throw new Fault(`The key has ${key.length} bytes, not ${KEY_BYTES[type]}.`);
  if (type !== MLDSA44 && !sound(key)) throw new Fault("This point is of low order, or not canonical: it verifies signatures that nobody made.");
  const digest = await sha256(encode(`${name}\n`), [type], key);
  if (hex(digest.slice(0, 4)) !== id) throw new Fault(`The key ID ${id} is not this key's: the text was changed.`);
  return { name, id, type, key, text };
}

function sound(point) {
  const y = BigInt(`0x${hex([...point].reverse())}`) % 2n ** 255n;
  return y < P && !LOW_ORDER.includes(y);
}

function checkName(name) {
  const length = encode(name).length;
  if (!length || length > MAX_NAME || /[+\s\x00-\x1f\x85]/u.test(name)) throw new Fault(`${shown(name)} names no key.`);
}

// {text, signatures: [{name, id (hex), bytes}]} of a note's text.
export function parseNote(note) {
  if (/[\x00-\x09\x0b-\x1f]/.test(note)) throw new Fault("The checkpoint has control characters.");
  const end = note.lastIndexOf("\n\n") + 1;
  const lines = note.slice(end + 1).split("\n");
  if (!end || lines.length < 2 || lines.pop() !== "") {
    throw new Fault("A checkpoint is a text, an empty line and signature lines.");
  }
  if (lines.length > MAX_SIGNATURES) throw new Fault(`A checkpoint with ${lines.length} signatures is not read.`);
  return { text: note.slice(0, end), signatures: lines.map(parseSignature) };
}

function parseSignature(line) {
  const [dash, name, encoded, more] = line.split(" ");
  if (dash !== "—" || encoded === undefined || more !== undefined) throw new Fault("A signature line is malformed.");
  checkName(name);
  const blob = base64(encoded);
  if (blob.length < 5) throw new Fault("A signature has a key ID of 4 bytes and more.");
  return { name, id: hex(blob.slice(0, 4)), bytes: blob.slice(4) };
}

// {origin, size, root} of the text of a checkpoint.
export function parseCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length !== 4 || lines.pop() !== "") throw new Fault("A checkpoint's text is origin, size and root.");
  const [origin, size, root] = lines;
  const length = encode(origin).length;
  if (!length || length > MAX_NAME) throw new Fault(`An origin is 1 to ${MAX_NAME} bytes.`);
  return { origin, size: decimal(size), root: parseHash(root) };
}

// {index, hashes, note, extra} of a tlog-proof file; extra is null or bytes. The note is cut off, not looked at.
export function parseProof(bytes) {
  const [head, note] = split(decode(bytes), "\n\n", 2);
  const [header, ...lines] = head.split("\n");
  if (note === undefined || header !== HEADER) throw new Fault(`A proof begins with ${HEADER}.`);
  const extra = lines[0]?.startsWith("extra ") ? base64(lines.shift().slice(6)) : null;
  const index = lines.shift();
  if (!index?.startsWith("index ")) throw new Fault("A proof names the entry's index.");
  if (lines.length > MAX_HASHES) throw new Fault(`No proof has more than ${MAX_HASHES} hashes.`);
  return { index: decimal(index.slice(6)), hashes: lines.map(parseHash), note, extra };
}

// {entry, item} of a proof's extra, as bytes; {} where it is none of ours. Nothing of an extra is signed: what a part
// is bound by must be checked.
export function parseParts(extra) {
  const text = new TextDecoder("latin1").decode(extra ?? new Uint8Array());  // a character a byte
  if (!text.startsWith(OWN_EXTRA)) return {};
  if (!text.startsWith(PARTS_HEADER)) throw new Fault("The proof file has parts of another version.");
  const parts = {};
  const head = /(entry|item) (0|[1-9][0-9]{0,6})\n/y;
  let at = PARTS_HEADER.length;
  while (at < text.length) {
    head.lastIndex = at;
    const [whole, name, length] = head.exec(text) ?? [];
    const start = at + (whole?.length ?? 0);
    at = start + Number(length);
    if (!name || parts[name] || parts.item || at > text.length) throw new Fault("The parts of the proof file are malformed.");
    parts[name] = extra.slice(start, at);
  }
  if (!parts.entry) throw new Fault("The proof file has parts, but no entry that binds them.");
  return parts;
}

// When a cosignature was made, in Unix seconds: 8 bytes before the signature proper.
export const signedAt = (bytes) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);

// Whether a signature line is by this key and of this text. ML-DSA-44 is not known to browsers: null.
export async function verifies({ type, key }, text, bytes) {
  if (type === MLDSA44) return null;
  const stamped = type === COSIGNATURE;
  if (bytes.length !== (stamped ? 72 : 64) || (stamped && signedAt(bytes) > MAX_NUMBER)) return false;
  const message = stamped ? `cosignature/v1\ntime ${signedAt(bytes)}\n${text}` : text;
  const imported = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", imported, stamped ? bytes.slice(8) : bytes, encode(message));
}

// At most `most` parts; the last keeps further separators.
function split(text, separator, most) {
  const parts = text.split(separator);
  return parts.length <= most ? parts : [...parts.slice(0, most - 1), parts.slice(most - 1).join(separator)];
}
