/** The page: what is dropped, pasted, chosen, drawn or seen by the camera is classified, here and now. */

import { showCard } from "./about.js";
import { startCamera } from "./camera.js";
import { Classifier } from "./classifier.js";
import { pixelsOf } from "./decoding.js";
import { startDrawing } from "./drawing.js";
import { table } from "./embedded.js";
import { addCard, describe, problemOf } from "./results.js";
import { showTexts, text } from "./texts.js";

const part = (id) => document.getElementById(id);

async function start() {
  showTexts();
  const description = table("classifier");
  document.title = text("title", { name: description.name });
  part("name").textContent = description.name;
  part("as-is-choice").hidden = !description.preprocessing.find_digit;
  showCard(description);
  status("loading");
  const classifier = await Classifier.load(description);
  offerFiles(classifier);
  offerDrawing(classifier);
  offerCamera(classifier);
  for (const control of document.querySelectorAll("[disabled]")) control.disabled = false;
  status("ready");
  // For the browser's console: await lamplighter.classify(file)
  globalThis.lamplighter = {
    classify: async (file, options) => classifier.answerFile(await bytesOf(file), options),
  };
}

function status(key, values) {
  part("status").textContent = text(key, values);
}

function options() {
  return { asIs: part("as-is").checked };
}

async function bytesOf(file) {
  return new Uint8Array(await file.arrayBuffer());
}

/** Classify files one after the other, each in its own card. */
async function classifyFiles(classifier, files) {
  const total = files.length;
  let [done, failed] = [0, 0];
  for (const file of files) {
    const card = addCard(file.name || text("pasted"), file);
    try {
      card.answer(await classifier.answerFile(await bytesOf(file), options()), classifier.description.class_names);
    } catch (error) {
      failed++;
      card.problem(error);
    }
    done++;
    status(failed ? "progress-failed" : "progress", { done, total, failed });
    await new Promise((resolve) => setTimeout(resolve)); // so that the page is drawn in between
  }
}

function offerFiles(classifier) {
  let queue = Promise.resolve();
  const take = (files) => {
    if (files.length === 0) status("no-files");
    else queue = queue.then(() => classifyFiles(classifier, files));
  };
  part("choose").addEventListener("click", () => part("files").click());
  part("files").addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = ""; // so that the same file may be chosen again
  });
  document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    part("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => part("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    part("drop").classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

/** Show the answer to a picture in a place of its own, instead of the last one there. */
async function answerIn(place, classifier, picture) {
  let said;
  try {
    said = describe(await classifier.answerPicture(picture, options()), classifier.description.class_names);
  } catch (error) {
    said = problemOf(error);
  }
  place.replaceChildren(said);
}

function offerDrawing(classifier) {
  const canvas = part("canvas");
  const look = () => {
    const picture = pixelsOf(canvas, canvas.width, canvas.height);
    return answerIn(part("drawn"), classifier, picture);
  };
  const drawing = startDrawing(canvas, look);
  part("clear").addEventListener("click", () => {
    drawing.clear();
    part("drawn").replaceChildren();
  });
  part("drawing").open = classifier.description.preprocessing.find_digit;
}

function offerCamera(classifier) {
  const [button, video] = [part("camera"), part("video")];
  let stop = null;
  const look = (source) => {
    const picture = pixelsOf(source, source.videoWidth, source.videoHeight);
    return answerIn(part("viewed"), classifier, picture);
  };
  button.addEventListener("click", async () => {
    if (stop) {
      stop();
      stop = null;
    } else {
      try {
        stop = await startCamera(video, look);
      } catch (error) {
        status(error.name === "NotAllowedError" ? "camera-refused" : "camera-missing");
      }
    }
    video.hidden = !stop;
    button.textContent = text(stop ? "camera-off" : "camera-on");
    button.setAttribute("aria-pressed", String(Boolean(stop)));
    if (!stop) part("viewed").replaceChildren();
  });
}

start().catch((error) => {
  part("status").textContent = text("failed", { message: String(error.message ?? error) });
  part("status").classList.add("problem");
});
