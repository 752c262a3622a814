// "Try it" in the documentation of the API: sends what the form says, and shows the answer.

const MOST = 20000; // characters of an answer that are shown

for (const form of document.querySelectorAll("form[data-path]")) {
  form.querySelector("[data-live]").hidden = false;
  form.addEventListener("submit", (event) => (event.preventDefault(), send(form)));
}

async function send(form) {
  const url = address(form);
  const shown = form.parentElement.querySelector("[data-answer]");
  shown.textContent = "…";
  try {
    const answer = await fetch(url);
    const text = await answer.text();
    shown.replaceChildren(
      made("p", `GET ${url} answered ${answer.status} ${answer.headers.get("content-type") ?? ""}`),
      made("pre", text.length > MOST ? `${text.slice(0, MOST)}\n… ${text.length} characters in all` : text),
    );
    shown.lastChild.tabIndex = 0;
  } catch (error) {
    shown.textContent = `GET ${url} failed: ${error.message}`;
  }
}

function address(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const { name, value, dataset } of form.querySelectorAll("input")) {
    if (dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (dataset.in === "query" && value) query.set(name, value);
  }
  return query.size ? `${path}?${query}` : path;
}

function made(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
