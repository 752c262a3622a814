// The panel "verify in your browser": fetches an entry, its item and its proof, checks them with verify.js, and shows
// each step. The first that fails turns the panel red; what depends on it is not looked at.
//
// The page says what is to be checked (data-origin, data-entry, data-key …); everything fetched must be about that. Keys
// of the log are the reader's: pasted once, kept in this browser, never taken from the server that they are to check.

import * as check from "./verify.js";
import { draw } from "./path.js";

const panel = document.querySelector("[data-verify]");
const steps = panel.querySelector("[data-steps]");
const verdict = panel.querySelector("[data-verdict]");
const picture = panel.querySelector("[data-picture]");
const keys = panel.querySelector("[data-keys]");
const { origin, key, type, index, entry, proof, item, unreadable } = panel.dataset;
const store = `mintmark.keys.${origin}`;

const CAPTION = "Dashed: the hashes of the proof. Solid: hashed here, from the entry at the bottom up, " +
  "each with the one beside it.";
const STEPS = [
  ["entry", "The entry is the one on this page"],
  ["item", "The item has the hash that the entry names"],
  ["leaf", "The entry is a leaf of the tree"],
  ["path", "The path from the leaf leads to the signed root"],
  ["signature", "The log signed that root"],
];

async function run(known) {
  begin();
  const found = {};
  try {
    for (const [name] of STEPS) {
      await step(name, () => CHECKS[name](found, known));
    }
    conclude(found);
  } catch (error) {
    conclude(found, error);
  }
}

const CHECKS = {
  async entry(found) {
    found.proof = check.parseProof(await bytesOf(proof));
    const [shown] = parse(await bytesOf(entry));
    if (shown.key !== key || (shown.type ?? "user") !== type || String(found.proof.index) !== index) {
      throw new check.Fault(`The server sent another entry than the one of ${key} at index ${index}.`);
    }
    const itemHash = shown["item-hash"][0] ?? null;
    found.entry = { key, timestamp: shown["entry-timestamp"], type, itemHash };
    found.leaf = check.formatLeaf(found.entry);
    found.parts = check.parseParts(found.proof.extra);
    return ["Its bytes in the log:", code(check.decode(found.leaf))];
  },

  async item({ entry: { itemHash }, parts }) {
    if (parts.item && (await hashOf(parts.item)) !== itemHash) {
      throw new check.Fault("The proof file holds another item than the one that the entry names.");
    }
    if (itemHash === null) return ["There is none: this entry ends the record."];
    if (!item && !unreadable) return ["It was erased. The entry and its proof stay."];
    const text = item ? check.canonical(parse(await bytesOf(item))) : "its bytes, which are no item of a register,";
    const hash = await hashOf(item ? check.encode(text) : await bytesOf(unreadable));
    if (hash !== itemHash) throw new check.Fault(`The item hashes to ${hash}; the entry names ${itemHash}.`);
    return ["SHA-256 of", item ? code(text) : text, "is", code(hash)];
  },

  async leaf(found) {
    found.leafHash = await check.leafHash(found.leaf);
    return [`At index ${index} of the log, which counts from 0, definitions included. SHA-256 of a zero byte and its bytes is`, code(check.hex(found.leafHash))];
  },

  async path(found) {
    const { proof: { index, hashes, note }, leafHash } = found;
    found.note = check.parseNote(note);
    found.head = check.parseCheckpoint(found.note.text);
    const { origin: named, size, root } = found.head;
    if (named !== origin) throw new check.Fault(`The checkpoint is of ${named}, not of ${origin}.`);
    const path = await check.climb(index, size, leafHash, hashes);
    const top = path.at(-1)?.node ?? leafHash;
    const holds = check.same(top, root);
    picture.replaceChildren(draw({ leaf: leafHash, path, root, index, size, holds }), element("figcaption", {}, CAPTION));
    picture.hidden = false;
    const count = hashes.length === 1 ? "1 hash" : `${hashes.length} hashes`;
    if (!holds) throw new check.Fault(`${count} lead to ${check.hex(top)}; the checkpoint has ${check.hex(root)}.`);
    if (found.parts.entry && !check.same(found.parts.entry, found.leaf)) {
      throw new check.Fault("The proof file holds another entry than the one that is shown.");
    }
    return [`${count} lead to the root of ${size} entries:`, code(check.hex(root))];
  },

  async signature(found, known) {
    const logs = known.filter((vkey) => vkey.name === origin);
    found.signatures = await Promise.all(found.note.signatures.map((line) => judge(line, found.note.text, known)));
    const forged = found.signatures.find(({ holds }) => holds === false);
    if (forged) throw new check.Fault(`The signature of ${forged.name} (${forged.id}) does not verify with your key.`);
    found.signed = found.signatures.some(({ name, holds, vkey }) => name === origin && holds && vkey.type === check.ED25519);
    if (!found.signed && logs.length) throw new check.Fault("None of your keys of this log signed the checkpoint.");
    return [found.signed ? "With your key:" : "Not checked: give the log's key above.", signatures(found.signatures)];
  },
};

async function hashOf(item) {
  return `sha-256:${check.hex(await check.sha256(item))}`;
}

// What is to be said of a signature line: `holds` is null where no key was given, or the browser does not know its kind.
async function judge({ name, id, bytes }, text, known) {
  const vkey = known.find((candidate) => candidate.name === name && candidate.id === id);
  try {
    return { name, id, bytes, vkey, holds: vkey ? await check.verifies(vkey, text, bytes) : null };
  } catch {
    throw new check.Fault("This browser has no Ed25519. Use a newer one, or mintmark verify.");
  }
}

// ---- what the reader sees

function begin() {
  verdict.textContent = "Checking …";
  picture.hidden = true;
  steps.replaceChildren(...STEPS.map(([name, title]) => {
    const line = element("li", { "data-step": name, "data-state": "waiting" });
    line.append(element("strong", {}, title), element("div", { class: "detail" }));
    return line;
  }));
}

async function step(name, work) {
  const line = steps.querySelector(`[data-step="${name}"]`);
  try {
    line.querySelector(".detail").append(...spaced(await work()));
    line.dataset.state = "good";
  } catch (error) {
    line.dataset.state = "bad";
    line.querySelector(".detail").textContent = reason(error);
    throw Object.assign(error, { step: name });
  }
}

function conclude(found, error) {
  panel.dataset.state = error ? "bad" : found.signed ? "good" : "open";
  if (panel.dataset.state === "open") steps.querySelector('[data-step="signature"]').dataset.state = "open";
  verdict.textContent = error
    ? `Failed at step ${place(error.step) + 1} of ${STEPS.length}, “${STEPS[place(error.step)][1]}”. ${brief(reason(error))}`
    : found.signed
      ? `Verified: it is in ${origin}, one of ${found.head.size} entries, signed with the key that you gave.`
      : "The entry leads to the root, but nothing here tells you who signed it: give the log's key.";
}

const place = (step) => STEPS.findIndex(([name]) => name === step);
const brief = (words) => words.replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b\.?/g, "$1…"); // the step has the hashes in full
const reason = (error) => (error instanceof check.Fault ? error.message : `The answer is not what was asked for: ${error.message}`);

function signatures(lines) {
  const list = element("ul", { class: "signatures" });
  for (const line of lines) {
    const state = { true: "good", false: "bad", null: "open" }[line.holds];
    list.append(element("li", { "data-state": state }, `${line.name} (${line.id}): ${kind(line)}, ${said(line)}`));
  }
  return list;
}

// The kind is in the key; without one, the length of the signature gives it away.
function kind({ bytes }) {
  if (bytes.length === 72) return `cosigned ${time(check.signedAt(bytes))}`;
  return { 64: "Ed25519", 2428: "ML-DSA-44" }[bytes.length] ?? `${bytes.length} bytes`;
}

const LAST_SECOND = 253402300799n; // of the year 9999
const time = (seconds) =>
  seconds > LAST_SECOND ? "at no time that there is" : new Date(Number(seconds) * 1000).toISOString().replace(".000", "");

function said({ vkey, holds }) {
  if (holds) return "verified with your key";
  if (holds === false) return "does not verify";
  return vkey ? "a kind that browsers cannot check" : "not checked, you have no key for it";
}

const code = (text) => element("code", {}, text);
const spaced = (parts) => parts.flatMap((part) => [part, " "]);

function element(name, attributes, text = "") {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.textContent = text;
  return made;
}

// ---- what is fetched and kept

async function bytesOf(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new check.Fault(`${url} answered ${answer.status}.`);
  return new Uint8Array(await answer.arrayBuffer());
}

function parse(bytes) {
  try {
    return JSON.parse(check.decode(bytes));
  } catch (error) {
    throw error instanceof check.Fault ? error : new check.Fault("The server did not send JSON.");
  }
}

async function readKeys() {
  const lines = keys.value.split("\n").map((line) => line.trim()).filter(Boolean);
  return Promise.all(lines.map(check.parseVkey));
}

function remember(text) {
  try {
    if (text) localStorage.setItem(store, text);
    else localStorage.removeItem(store);
  } catch {
    // a browser that keeps nothing: the key serves for this page
  }
}

function remembered() {
  try {
    return localStorage.getItem(store) ?? "";
  } catch {
    return "";
  }
}

async function start() {
  const fault = panel.querySelector("[data-key-fault]");
  let known;
  panel.dataset.state = "busy";
  try {
    known = await readKeys();
  } catch (error) {
    panel.dataset.state = "idle";
    verdict.textContent = "";
    steps.replaceChildren();
    picture.hidden = true;
    fault.textContent = reason(error);
    keys.setAttribute("aria-invalid", "true");
    keys.closest("details").open = true;
    keys.focus();
    return;
  }
  fault.textContent = "";
  keys.removeAttribute("aria-invalid");
  remember(keys.value.trim());
  await run(known);
}

if (globalThis.crypto?.subtle) {
  keys.value = remembered();
  keys.closest("details").open = !keys.value;
  panel.querySelector("form").addEventListener("submit", (event) => (event.preventDefault(), start()));
  panel.querySelector("[data-forget]").addEventListener("click", () => (remember(""), (keys.value = ""), (keys.closest("details").open = true)));
} else {
  panel.querySelector("[data-live]").hidden = true;
  panel.querySelector("[data-insecure]").hidden = false;
}
