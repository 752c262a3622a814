// A proof as a picture: the leaf at the bottom, at each level the sibling that the proof gives, the root at the top,
// and beside it the root that the checkpoint names. It rises level by level, as it was hashed.
//
//     ● = ●         the root that the path leads to, and the signed one
//     ●──○          each line of the proof is one ○, to the left or the right of our own node ●
//  ○──●
//     ●             the leaf

import { hex } from "./verify.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, STEP, MIDDLE, AWAY, EDGE, LABEL] = [300, 40, 150, 104, 36, 8];
const SLOWEST = 180, LONGEST = 2500; // milliseconds, of a level and of all

// The picture of a path as `climb` gives it, of leaf `index` in a tree of `size`; `holds` if it leads to `root`.
export function draw({ leaf, path, root, index, size, holds }) {
  const height = path.length * STEP + 2 * EDGE;
  const y = (level) => height - EDGE - level * STEP;
  const nodes = [leaf, ...path.map(({ node }) => node)];
  const top = path.length;
  const levels = nodes.map((hash, level) => group(level, [
    ...(level < top ? joint(path[level], y(level), y(level + 1)) : []),
    ...node(MIDDLE, y(level), hash, level === top ? (holds ? "root" : "bad") : "ours"),
  ]));
  levels[top].append(text(MIDDLE + AWAY / 2, y(top), holds ? "=" : "≠", "sign"), ...node(MIDDLE + AWAY, y(top), root, holds ? "root" : "wanted"));
  levels[top].append(text(MIDDLE + AWAY, y(top) - 20, "signed", "label"), text(MIDDLE, y(top) - 20, `root of ${size}`, "label"));
  levels[0].append(text(MIDDLE, y(0) + 20, `leaf ${index}`, "label"));
  const said = `${top} hashes lead from the leaf ${short(leaf)} to the root ${short(nodes[top])}; ` +
    (holds ? "it is the signed one." : `it is not the signed one, ${short(root)}.`);
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "path", "aria-label": said });
  svg.style.setProperty("--pace", `${Math.min(SLOWEST, LONGEST / nodes.length)}ms`);
  svg.append(...levels);
  return svg;
}

// What one line of the proof adds: the sibling, and the two lines up to the node that both hash to.
function joint({ sibling, left }, at, above) {
  const x = MIDDLE + (left ? -AWAY : AWAY);
  return [line(MIDDLE, at, MIDDLE, above), line(x, at, MIDDLE, above), ...node(x, at, sibling, "given")];
}

function group(level, parts) {
  const made = make("g", {});
  made.style.setProperty("--level", level);
  made.append(...parts);
  return made;
}

const node = (x, y, hash, kind) =>
  [make("rect", { x: x - 36, y: y - 12, width: 72, height: 24, rx: 12, class: kind }), text(x, y, short(hash), kind)];

function text(x, y, words, kind) {
  const made = make("text", { x, y: y + 4, "text-anchor": "middle", class: kind });
  made.textContent = words;
  return made;
}

const short = (hash) => hex(hash).slice(0, LABEL);
const line = (x1, y1, x2, y2) => make("line", { x1, y1, x2, y2 });

function make(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}
