// "Try it" in the documentation of the API: sends what the form says, and shows the answer.

const MOST = 20000; // characters of an answer that are shown
const TEXT = /^(text\/|application\/(.*json|yaml|uk-gov-rsf))/;

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", (event) => (event.preventDefault(), send(form)));
}

async function send(form) {
  const url = address(form);
  const shown = form.parentElement.querySelector("[data-answer]");
  shown.textContent = "…";
  try {
    const answer = await fetch(url);
    const type = answer.headers.get("content-type") ?? "";
    const line = made("p", "GET ");
    line.append(made("a", url, { href: url }), ` answered ${answer.status}, ${type}`);
    shown.replaceChildren(line, made("pre", await body(answer, type), { tabindex: 0 }));
  } catch (error) {
    shown.textContent = `GET ${url} failed: ${error.message}`;
  }
}

const cut = (text) => (text.length > MOST ? `${text.slice(0, MOST)}\n… ${text.length} characters in all` : text);

async function body(answer, type) {
  if (!TEXT.test(type)) return `${(await answer.arrayBuffer()).byteLength} bytes`;
  const text = await answer.text();
  return cut(/json$/.test(type) ? JSON.stringify(JSON.parse(text), null, 2) : text);
}

function address(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const { name, value, dataset } of form.querySelectorAll("input")) {
    if (dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value) query.set(name, value);
  }
  return query.size ? `${path}?${query}` : path;
}

function made(name, text, attributes = {}) {
  const element = document.createElement(name);
  element.textContent = text;
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}
