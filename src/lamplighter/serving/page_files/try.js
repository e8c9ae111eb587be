// The page to try a service: sends images to /predict and shows the answers as text.

/** @param {string} id */
const element = (id) => /** @type {any} */ (document.getElementById(id));
const [answers, drop, files, status] = ["answers", "drop", "files", "status"].map(element);
const [model, top_, token, about, explain] = ["model", "top", "token", "about", "explain"].map(element);

/** Models of the service by name. @type {Map<string, any>} */
const models = new Map();

/** Return a new element with text; names of others never become HTML.
 * @param {string} tag @param {string} text @param {string} [kind] */
function make(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** Ask the service; the answer is JSON also where it is an error.
 * @param {string} path @param {RequestInit} [options] */
async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token.value) headers.set("Authorization", `Bearer ${token.value}`);
  const response = await fetch(path, { ...options, headers });
  const document_ = await response.json();
  return { ok: response.ok, status: response.status, document: document_ };
}

async function start() {
  const description = (await ask("/openapi.json")).document;
  element("explain-field").hidden = !("/explain" in description.paths);
  const needsToken = "securitySchemes" in (description.components ?? {});
  element("token-field").hidden = !needsToken;
  if (needsToken && !token.value) {
    status.textContent = "This service asks for a token.";
    return;
  }
  const { ok, document: listed } = await ask("/models");
  if (!ok) {
    status.textContent = listed.error;
    return;
  }
  status.textContent = "";
  model.replaceChildren();
  for (const one of listed.models) {
    models.set(one.name, one);
    model.append(new Option(one.name, one.name));
  }
  describe();
}

function describe() {
  const chosen = models.get(model.value);
  if (!chosen) return;
  // <bdi>: a name that is written from right to left does not turn what stands after it.
  const names = chosen.classes.slice(0, 10).flatMap((name) => [", ", make("bdi", name)]).slice(1);
  const more = chosen.classes.length > 10 ? ` and ${chosen.classes.length - 10} more` : "";
  about.replaceChildren(
    `${chosen.classes.length} classes: `,
    ...names,
    `${more}. The network sees ${chosen.preprocessing}.`,
    chosen.says_unknown ? " What is unlike its training images is called unknown." : "",
  );
}

/** @param {File[]} images */
async function classify(images) {
  for (const [number, image] of images.entries()) {
    status.textContent = `Image ${number + 1} of ${images.length} …`;
    const item = make("li");
    item.append(thumbnail(image));
    try {
      item.append(await answered(image));
      if (explain.checked) item.firstChild.append(await explained(image));
    } catch (error) {
      item.append(make("p", `The service cannot be reached: ${error}`, "error"));
    }
    answers.prepend(item);
  }
  status.textContent = "";
}

/** @param {File} image */
function thumbnail(image) {
  const box = make("div");
  const picture = document.createElement("img");
  picture.alt = image.name;
  picture.src = URL.createObjectURL(image);
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => picture.remove();
  box.append(picture);
  return box;
}

/** @param {File} image @param {string} path @param {Record<string, string>} parameters */
function send(image, path, parameters) {
  const form = new FormData();
  form.append("image", image, image.name || "pasted.png");
  return ask(`${path}?${new URLSearchParams(parameters)}`, { method: "POST", body: form });
}

/** @param {File} image */
async function answered(image) {
  const box = make("div");
  box.append(make("p", image.name, "soft"));
  const { document: found } = await send(image, "/predict", { model: model.value, top: top_.value });
  if (found.error || !found.predictions.length) {
    box.append(make("p", found.error ?? found.errors[0].error, "error"));
    return box;
  }
  const [prediction] = found.predictions;
  const unknown = prediction.known === false;
  const said = make("p", "", unknown ? "label unknown" : "label");
  said.append(make("bdi", prediction.label));
  box.append(said);
  if (unknown) box.append(make("p", "Unlike the training images; nearest to:", "soft"));
  const table = make("table");
  for (const { label, probability } of prediction.top) {
    const row = make("tr");
    const bar = /** @type {HTMLMeterElement} */ (make("meter"));
    bar.value = probability;
    const cell = make("td");
    cell.append(bar);
    const name = make("td");
    name.append(make("bdi", label));
    row.append(name, cell, make("td", `${(100 * probability).toFixed(1)} %`));
    table.append(row);
  }
  box.append(table);
  return box;
}

/** @param {File} image */
async function explained(image) {
  const { ok, document: found } = await send(image, "/explain", { model: model.value });
  if (!ok) return make("p", found.error, "error");
  const [height, width] = found.size;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Where the answer ${found.class} rests, in orange`);
  const paint = canvas.getContext("2d");
  const seen = new Image();
  seen.src = found.seen;
  await seen.decode();
  paint.drawImage(seen, 0, 0);
  const most = Math.max(1e-9, ...found.heat.flat().map(Math.abs));
  found.heat.forEach((row, i) => row.forEach((value, j) => {
    const [top, left] = [found.rows[i], found.columns[j]];
    const [bottom, right] = [found.rows[i + 1] ?? height, found.columns[j + 1] ?? width];
    const strength = 0.65 * Math.abs(value) / most;
    paint.fillStyle = value > 0 ? `rgba(240, 110, 0, ${strength})` : `rgba(0, 110, 200, ${strength})`;
    paint.fillRect(left, top, right - left, bottom - top);
  }));
  return canvas;
}

files.addEventListener("change", async () => {
  await classify([...files.files]);
  files.value = "";
});
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  classify([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => {
  const pasted = [...event.clipboardData.files];
  if (pasted.length) classify(pasted);
});
element("settings").addEventListener("submit", (event) => event.preventDefault());
model.addEventListener("change", describe);
token.addEventListener("change", start);
start();
