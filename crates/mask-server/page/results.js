// Faces as pixels, rows and files.

// Of a face as many patches remain along its longer side as on the server.
const PATCHES = 6;
const MARGIN = 0.15;

/** What the server says about its classes. */
export const classes = { names: [], colors: new Map() };

export function color(label) {
  const [r, g, b] = classes.colors.get(label) ?? [128, 128, 128];
  return `rgb(${r} ${g} ${b})`;
}

/** A class as people read it. */
export function words(label) {
  return label.replaceAll("_", " ");
}

/** The faces that the settings let through. */
export function chosen(faces, settings) {
  return faces.filter(
    (face) => face.confidence >= settings.confidence && settings.classes.has(face.label),
  );
}

export function counts(faces) {
  if (faces.length === 0) return "no faces";
  const parts = classes.names
    .map((name) => [faces.filter((face) => face.label === name).length, name])
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count} ${words(name)}`);
  return `${faces.length} ${faces.length === 1 ? "face" : "faces"}: ${parts.join(", ")}`;
}

/** Draws boxes and labels in pixels of the record, which the context is scaled to. */
export function drawFaces(context, faces, width, height) {
  const short = Math.min(width, height);
  const line = Math.max(1.5, short / 250);
  for (const face of [...faces].reverse()) {
    const { x_min: x, y_min: y, x_max, y_max } = face.box;
    const size = Math.max(11, Math.min(short / 14, Math.max(short / 40, (x_max - x) / 7)));
    context.lineWidth = line;
    context.strokeStyle = context.fillStyle = color(face.label);
    context.strokeRect(x, y, x_max - x, y_max - y);
    const track = face.track === undefined ? "" : `#${face.track} `;
    const share = Math.round(100 * (face.probabilities?.[face.label] ?? 0));
    const text = `${track}${words(face.label)} ${share}%`;
    context.font = `600 ${size}px system-ui, sans-serif`;
    const wide = context.measureText(text).width + size * 0.6;
    const left = Math.max(0, Math.min(x, width - wide));
    const top = y >= size * 1.4 ? y - size * 1.4 : y;
    context.fillRect(left, top, wide, size * 1.4);
    const [r, g, b] = classes.colors.get(face.label) ?? [128, 128, 128];
    context.fillStyle = 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
    context.fillText(text, left + size * 0.3, top + size * 1.05);
  }
}

/** Replaces faces by a few patches of their mean colours. */
export function hideFaces(context, faces, width, height) {
  const small = document.createElement("canvas");
  for (const { box } of faces) {
    const [grow, rise] = [MARGIN * (box.x_max - box.x_min), MARGIN * (box.y_max - box.y_min)];
    const x = Math.max(0, box.x_min - grow);
    const y = Math.max(0, box.y_min - rise);
    const wide = Math.min(width, box.x_max + grow) - x;
    const high = Math.min(height, box.y_max + rise) - y;
    const longer = Math.max(wide, high);
    small.width = Math.max(1, Math.round((PATCHES * wide) / longer));
    small.height = Math.max(1, Math.round((PATCHES * high) / longer));
    const scale = context.getTransform();
    const inner = small.getContext("2d");
    inner.imageSmoothingQuality = "high";
    const source = [x * scale.a, y * scale.d, wide * scale.a, high * scale.d];
    inner.drawImage(context.canvas, ...source, 0, 0, small.width, small.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, x, y, wide, high);
    context.imageSmoothingEnabled = true;
  }
}

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

export function swatch(label) {
  const made = element("span", { className: "swatch" });
  made.style.background = color(label);
  return made;
}

/** The faces as a table. */
export function table(faces) {
  const head = element("tr", {});
  for (const title of ["Class", "Probability", "Confidence", "Place"]) {
    head.append(element("th", { scope: "col", textContent: title }));
  }
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  const rows = faces.map((face) => {
    const { x_min, y_min, x_max, y_max } = face.box;
    const size = `${Math.round(x_max - x_min)} × ${Math.round(y_max - y_min)}`;
    const cells = [
      percent(face.probabilities?.[face.label] ?? 0),
      percent(face.confidence),
      `${size} at ${Math.round(x_min)}, ${Math.round(y_min)}`,
    ];
    const first = element("td", {}, swatch(face.label), words(face.label));
    return element("tr", {}, first, ...cells.map((text) => element("td", { textContent: text })));
  });
  const caption = element("caption", { textContent: counts(faces) });
  return element("table", {}, caption, element("thead", {}, head), element("tbody", {}, ...rows));
}

/** What `mask-cli detect --format csv` prints: a row a face, and one for an image without any. */
export function csv(records) {
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const box = ["x_min", "y_min", "x_max", "y_max"];
  const columns = [...box, "confidence", "label", ...classes.names];
  const rows = records.flatMap((record) => {
    const { image, width = "", height = "", error = "", warning = "", faces = [] } = record;
    const empty = faces.length === 0 ? [columns.map(() => "")] : [];
    const filled = faces.map((face) => [
      ...box.map((edge) => face.box[edge]),
      face.confidence,
      face.label,
      ...classes.names.map((name) => face.probabilities?.[name] ?? ""),
    ]);
    return [...filled, ...empty].map((fields) => [image, width, height, ...fields, error, warning, ""]);
  });
  const head = ["image", "width", "height", ...columns, "error", "warning", "drawn"];
  return [head, ...rows].map((row) => row.map((cell) => quoted(String(cell))).join(",") + "\n").join("");
}

export function save(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
