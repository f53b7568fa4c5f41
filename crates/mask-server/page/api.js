// /openapi.json for people.

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

function table(caption, titles, rows) {
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col", textContent: title })));
  const body = rows.map((row) => element("tr", {}, ...row.map((text) => element("td", { textContent: text }))));
  const made = element("table", { className: "wrap" }, element("caption", { textContent: caption }),
    element("thead", {}, head), element("tbody", {}, ...body));
  const region = element("div", { className: "scroll", tabIndex: 0 }, made);
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", caption);
  return region;
}

function kind(schema = {}) {
  const type = [schema.type ?? ""].flat().filter((name) => name !== "null").join(" or ");
  const range = [schema.minimum, schema.maximum].map((bound) => bound ?? "");
  return range.some((bound) => bound !== "") ? `${type}, ${range.join(" to ")}` : type;
}

const info = await (await fetch("/v1/info")).json();
document.getElementById("cameras-link").hidden = info.streams === 0;

const { origin } = location;
document.getElementById("examples").textContent = [
  `curl --data-binary @photo.jpg ${origin}/v1/detect`,
  `curl -F a=@one.jpg -F b=@two.png ${origin}/v1/detect`,
  `curl --data-binary @photo.jpg '${origin}/v1/detect?draw=true' -o drawn.jpg`,
].join("\n");

const description = await (await fetch("/openapi.json")).json();
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const card = element("section", { className: "card operation" },
      element("h2", {}, element("span", { className: "method", textContent: method }), path),
      element("p", { textContent: operation.summary ?? "" }));
    if (operation.description) card.append(element("p", { className: "hint", textContent: operation.description }));
    if (operation.parameters?.length) {
      card.append(table(`Parameters of ${path}`, ["Name", "Type", "Meaning"], operation.parameters.map(
        ({ name, schema, description }) => [name, kind(schema), description ?? ""])));
    }
    if (operation.requestBody) {
      card.append(table(`Body for ${path}`, ["Content type"], Object.keys(operation.requestBody.content).map((type) => [type])));
    }
    card.append(table(`Answers of ${path}`, ["Status", "Meaning", "Content types"], Object.entries(operation.responses).map(
      ([status, { description, content = {} }]) => [status, description, Object.keys(content).join(", ")])));
    document.getElementById("operations").append(card);
  }
}
