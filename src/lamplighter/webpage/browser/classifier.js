/**
 * The classifier of the page: a network run by ONNX Runtime, its probabilities, and what it does not know.
 *
 * @typedef {{name: string, class_names: string[], preprocessing: Preprocessing,
 *   trust: {temperature: number, neighbours: number, threshold: number | null}, features: number | null,
 *   card: object}} Description
 * @typedef {{name: string, probability: number}} Guess
 * @typedef {{guesses: Guess[], isKnown: boolean | null, distance: number | null, seen: Picture}} Answer
 *   all classes, the most probable first; whether the picture is like the training images and how far it
 *   lies from them (0..2), null where that was not measured; and what the network saw of it.
 */

import { openImage } from "./decoding.js";
import { fromHalves, unpacked } from "./embedded.js";
import { decodeSize, normalized, seenBy } from "./preprocessing.js";

export class Classifier {
  /**
   * Return the classifier that the page carries.
   *
   * @param {Description} description
   */
  static async load(description) {
    const { ort } = globalThis; // onnxruntime-web, from the script before this one
    ort.env.wasm.numThreads = 1; // threads need headers that a file has not
    ort.env.wasm.wasmBinary = await unpacked("runtime");
    const network = await unpacked("network");
    const session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
    const vectors = await unpacked("reference");
    const reference = vectors && new Reference(fromHalves(vectors), description);
    const classifier = new Classifier(description, session, reference);
    await classifier.warmUp();
    return classifier;
  }

  constructor(description, session, reference) {
    this.description = description;
    this.session = session;
    this.reference = reference;
    this.waiting = Promise.resolve(); // the network answers one question at a time
  }

  /** Answer once to nothing, since the first time takes longer. */
  async warmUp() {
    const { channels, height, width } = this.description.preprocessing;
    await this.run(new Float32Array(channels * height * width));
  }

  /**
   * Return the answer to an image file.
   *
   * @param {Uint8Array} bytes
   * @param {{asIs?: boolean}} options whether to use the whole image, without searching for a digit.
   * @returns {Promise<Answer>}
   * @throws {ImageProblem} the file cannot be used.
   */
  async answerFile(bytes, options = {}) {
    const settings = this.settings(options);
    return this.answerPicture(await openImage(bytes, (size) => decodeSize(settings, size)), options);
  }

  /** Return the answer to an upright picture, as `answerFile`. */
  async answerPicture(picture, options = {}) {
    const settings = this.settings(options);
    const seen = seenBy(settings, picture);
    const { logits, features } = await this.run(normalized(settings, seen));
    const guesses = this.probabilities(logits);
    const distance = features && this.reference ? this.reference.distance(features) : null;
    const isKnown = distance === null ? null : distance <= Math.fround(this.description.trust.threshold);
    return { guesses, isKnown, distance, seen };
  }

  settings({ asIs = false }) {
    const { preprocessing } = this.description;
    return asIs ? { ...preprocessing, find_digit: false } : preprocessing;
  }

  /** Return what the network says of one input of shape (C, H, W). */
  async run(input) {
    const { channels, height, width } = this.description.preprocessing;
    const [name] = this.session.inputNames;
    const tensor = new globalThis.ort.Tensor("float32", input, [1, channels, height, width]);
    const turn = this.waiting.then(() => this.session.run({ [name]: tensor }));
    this.waiting = turn.catch(() => {});
    const outputs = await turn;
    const [only] = this.session.outputNames;
    return { logits: (outputs.logits ?? outputs[only]).data, features: outputs.features?.data ?? null };
  }

  /** Return the probability of each class, the most probable first. */
  probabilities(logits) {
    const { class_names: names, trust } = this.description;
    const highest = logits.reduce((a, b) => Math.max(a, b));
    const weights = Float64Array.from(logits, (logit) => Math.exp((logit - highest) / trust.temperature));
    const sum = weights.reduce((a, b) => a + b, 0);
    const guesses = names.map((name, index) => ({ name, probability: weights[index] / sum, index }));
    guesses.sort((a, b) => logits[b.index] - logits[a.index]);
    return guesses.map(({ name, probability }) => ({ name, probability }));
  }
}

/**
 * Features of training images, to which the features of an image are compared: the cosine distance to
 * the k-th nearest one (Sun et al., 2022, arXiv:2204.06507).
 */
class Reference {
  constructor(vectors, { features: width, trust }) {
    this.width = width;
    this.neighbors = trust.neighbours;
    this.vectors = vectors;
    for (let at = 0; at < vectors.length; at += width) scaleToOne(vectors.subarray(at, at + width));
  }

  distance(features) {
    const own = scaleToOne(Float32Array.from(features));
    const apart = new Float32Array(this.vectors.length / this.width);
    for (let number = 0; number < apart.length; number++) {
      const from = number * this.width;
      let cosine = 0;
      for (let k = 0; k < this.width; k++) cosine += own[k] * this.vectors[from + k];
      apart[number] = 1 - cosine;
    }
    return Math.min(Math.max(apart.sort()[this.neighbors - 1], 0), 2);
  }
}

/** Divide a vector by its length, in place; one of zeros stays. */
function scaleToOne(vector) {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  if (length > 0) for (let k = 0; k < vector.length; k++) vector[k] /= length;
  return vector;
}
