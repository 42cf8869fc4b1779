// Sounds come from the microphone, as WAV made here, or from a file.

import { wav, withoutQuietEnds } from "./wav.js";

const READ_BY_SERVER = /^(RIFF|RIFX|RF64|fLaC|OggS|FORM|\.snd|ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb])/;
const EXTRA_SECONDS = 1; // until one speaks
const FILE_RATE = 48_000;
const NO_MICROPHONE = {
  NotAllowedError: "The browser was not allowed to use the microphone. Allow it beside the page's address.",
  NotFoundError: "There is no microphone here. Choose a sound in its place.",
};

export class AudioInput {
  #stop = null;

  constructor(box, page) {
    this.page = page;
    this.player = box.querySelector("audio");
    this.wave = box.querySelector(".wave");
    this.button = box.querySelector("[data-do=record]");
    this.button.addEventListener("click", () => (this.#stop ? this.#stop() : this.#record()));
    box.querySelector("[type=file]").addEventListener("change", (event) => {
      if (event.target.files[0]) this.take(event.target.files[0]);
      event.target.value = "";
    });
  }

  use(model) {
    this.seconds = (model.longest_input ?? model.shape[0]) / model.sample_rate_hz;
    this.player.removeAttribute("src");
    this.#draw([]);
    // Browsers hide the microphone from pages that others could have changed on the way.
    this.button.disabled = !navigator.mediaDevices?.getUserMedia;
    this.hint = this.button.disabled
      ? "Recording needs https, or this page opened as localhost. A file can be dropped or chosen."
      : `A file can be dropped or chosen. The model hears ${seconds(this.seconds)}.`;
  }

  leave() {
    this.#stop?.(true);
  }

  async take(file) {
    this.leave();
    const bytes = await file.arrayBuffer();
    const magic = String.fromCharCode(...new Uint8Array(bytes, 0, Math.min(4, bytes.byteLength)));
    let sound = null;
    try {
      sound = await decode(bytes);
    } catch {
      // The server reads more formats, and has words for what it cannot read.
    }
    this.#draw(sound ?? []);
    if (!sound || READ_BY_SERVER.test(magic)) {
      return this.#send(file, file.type.startsWith("audio/") ? file.type : "audio/unknown", `${file.name}, sent as it is.`);
    }
    const part = sound.subarray(0, Math.ceil(this.seconds * FILE_RATE));
    const cut = part.length < sound.length ? `the first ${seconds(this.seconds)} of ` : "";
    this.#send(wav(part, FILE_RATE), "audio/wav", `${cut}${file.name}, decoded in this page and sent as WAV.`);
  }

  async #record() {
    this.page.clear();
    let stream;
    try {
      const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      return this.page.fail(NO_MICROPHONE[error.name] ?? `The microphone cannot be used: ${error.message}`);
    }
    const context = new AudioContext();
    const blocks = [];
    this.#stop = (isDropped) => {
      this.#stop = null;
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      this.button.textContent = "Record";
      if (!isDropped) this.#finish(joined(blocks), context.sampleRate);
    };
    this.button.textContent = "Stop";
    this.page.note(`Speak now. It stops after ${seconds(this.seconds + EXTRA_SECONDS)}.`);
    await context.audioWorklet.addModule("/page/recorder.js");
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    const most = Math.ceil(((this.seconds + EXTRA_SECONDS) * context.sampleRate) / 128);
    recorder.port.onmessage = ({ data }) => {
      if (!this.#stop) return;
      blocks.push(data);
      if (blocks.length % 16 === 0) this.#draw(joined(blocks), most * 128);
      if (blocks.length >= most) this.#stop();
    };
    context.createMediaStreamSource(stream).connect(recorder);
  }

  #finish(samples, rate) {
    if (!samples.some((value) => value !== 0)) {
      this.#draw([]);
      return this.page.fail("The microphone gave silence only. See whether it is muted.");
    }
    const sound = withoutQuietEnds(samples, rate);
    this.#draw(sound);
    const left = samples.length - sound.length > rate / 10 ? ", without its quiet ends" : "";
    this.#send(wav(sound, rate), "audio/wav", `${seconds(sound.length / rate)} recorded${left}; the model hears ${seconds(this.seconds)}.`);
  }

  #send(body, type, note) {
    URL.revokeObjectURL(this.player.src);
    this.player.src = URL.createObjectURL(body);
    this.page.note(note);
    this.page.send(async () => ({ body, type }));
  }

  #draw(samples, length = samples.length) {
    const { width, height } = this.wave;
    const pen = this.wave.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(this.button).getPropertyValue("--link");
    const loudest = Math.max(0.05, samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
    for (let x = 0; x < width; x += 4) {
      const part = samples.slice((x / width) * length, ((x + 4) / width) * length);
      const peak = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / loudest;
      const tall = Math.max(2, 0.9 * peak * height);
      pen.fillRect(x, (height - tall) / 2, 2.5, tall);
    }
  }
}

const seconds = (count) => `${Number(count.toFixed(count < 10 ? 1 : 0))} s`;

// All channels of a sound file as one, at FILE_RATE.
async function decode(bytes) {
  const sound = await new OfflineAudioContext(1, 1, FILE_RATE).decodeAudioData(bytes);
  const mono = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((value, place) => (mono[place] += value / sound.numberOfChannels));
  }
  return mono;
}

function joined(blocks) {
  const whole = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  blocks.reduce((at, block) => (whole.set(block, at), at + block.length), 0);
  return whole;
}
