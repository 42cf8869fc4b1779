// Images are drawn, or come from a file, and are sent as PNG in the model's shape.
// Where the server resizes, a file is sent as it is, so that the model sees what it learned.

const SIDE = 336; // pixels of the drawing area's longer side, at least
const BRUSH = 0.085; // of the shorter side, as in the digits of MNIST
const LONGEST_REM = 20.4; // of the area on the page

export class ImageInput {
  #last = null;

  constructor(box, page) {
    this.page = page;
    this.frame = box.querySelector(".pad");
    this.canvas = box.querySelector("canvas");
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.prompt = box.querySelector(".hint");
    this.colour = box.querySelector("[type=color]");
    this.invert = box.querySelector("[data-do=invert]");
    box.querySelector("[data-do=clear]").addEventListener("click", () => this.clear());
    this.invert.addEventListener("click", () => this.#invert());
    box.querySelector("[type=file]").addEventListener("change", (event) => {
      if (event.target.files[0]) this.take(event.target.files[0]);
      event.target.value = "";
    });
    this.canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(kind, () => (this.#last = null));
    }
  }

  use(model) {
    const [height, width, channels] = model.shape;
    const longest = Math.max(height, width);
    // The drawing has `step` x `step` pixels for each of the model's.
    this.step = Math.max(1, Math.ceil(SIDE / longest));
    this.isGrey = channels === 1;
    this.resizes = Boolean(model.options?.resize);
    const place = this.resizes ? "in the server" : "here";
    this.hint = `A file can be dropped, pasted or chosen; it is scaled to ${width} × ${height} ${place}.`;
    this.small = Object.assign(document.createElement("canvas"), { width, height });
    Object.assign(this.canvas, { width: width * this.step, height: height * this.step });
    this.frame.style.maxInlineSize = `${(LONGEST_REM * width) / longest}rem`;
    this.invert.hidden = !this.isGrey;
    this.colour.parentElement.hidden = this.isGrey;
    this.#setLight(!this.isGrey);
    this.clear();
  }

  clear() {
    this.pen.fillStyle = this.isLight ? "#fff" : "#000";
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.prompt.hidden = false;
    this.page.clear();
  }

  async take(file) {
    if (this.resizes) {
      const { width, height } = this.small;
      return this.#sendFile(file, `${file.name}: the server scales it to ${width} × ${height}.`);
    }
    let image;
    try {
      image = await createImageBitmap(file, { colorSpaceConversion: "none" });
    } catch {
      // The server reads more formats, and has words for what it cannot read.
      return this.#sendFile(file, `${file.name}: this browser cannot show it, so it is sent as it is.`);
    }
    this.prompt.hidden = true;
    this.page.note(this.#place(image, file.name));
    this.#send();
  }

  #sendFile(file, note) {
    this.page.note(note);
    const type = file.type.startsWith("image/") ? file.type : "image/unknown";
    this.page.send(async () => ({ body: file, type }));
  }

  // Draws the middle of an image over the whole area; what was done, in words.
  #place(image, name) {
    const { width, height } = this.small;
    const size = `${name}, ${image.width} × ${image.height} pixels`;
    const isExact = image.width === width && image.height === height;
    const scale = Math.max(width / image.width, height / image.height);
    const sides = [width / scale, height / scale];
    const corner = [(image.width - sides[0]) / 2, (image.height - sides[1]) / 2];
    const cut = document.createElement("canvas");
    // A whole number of pixels for each of the model's: their mean is taken below.
    const times = Math.max(1, Math.min(8, Math.round(1 / scale / this.step)));
    Object.assign(cut, { width: this.canvas.width * times, height: this.canvas.height * times });
    const pen = cut.getContext("2d");
    pen.fillStyle = "#fff"; // under what is transparent, as in the server
    pen.fillRect(0, 0, cut.width, cut.height);
    pen.imageSmoothingEnabled = !isExact;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, ...corner, ...sides, 0, 0, cut.width, cut.height);
    this.pen.putImageData(means(cut, times, this.isGrey), 0, 0);
    if (isExact) return `${size}: just what the model takes.`;
    const part = corner.some((value) => value >= 0.5) ? "its middle, scaled" : "scaled";
    return `${size}: ${part} in this page to ${width} × ${height}${this.isGrey ? ", grey" : ""}.`;
  }

  #setLight(isLight) {
    this.isLight = isLight;
    this.invert.setAttribute("aria-pressed", String(this.isGrey && isLight));
  }

  #invert() {
    this.#setLight(!this.isLight);
    if (!this.prompt.hidden) return this.clear();
    this.pen.globalCompositeOperation = "difference";
    this.pen.fillStyle = "#fff";
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.pen.globalCompositeOperation = "source-over";
    this.#send();
  }

  #begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.prompt.hidden = true;
    this.#last = this.#point(event);
    this.#line(this.#last, event);
    this.#send();
  }

  #move(event) {
    if (!this.#last) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const point = this.#point(each);
      this.#line(point, each);
      this.#last = point;
    }
    this.#send();
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  #line([x, y], event) {
    const pressure = event.pointerType === "pen" ? 0.5 + event.pressure : 1;
    this.pen.lineWidth = BRUSH * Math.min(this.canvas.width, this.canvas.height) * pressure;
    this.pen.lineCap = "round";
    this.pen.strokeStyle = this.isGrey ? (this.isLight ? "#000" : "#fff") : this.colour.value;
    this.pen.beginPath();
    this.pen.moveTo(...this.#last);
    this.pen.lineTo(x, y + 0.01); // a line of no length would not be drawn
    this.pen.stroke();
  }

  #send() {
    this.page.send(async () => {
      this.small.getContext("2d").putImageData(means(this.canvas, this.step, this.isGrey), 0, 0);
      const body = await new Promise((done) => this.small.toBlob(done, "image/png"));
      return { body, type: "image/png" };
    });
  }
}

// The picture with the mean of `step` x `step` pixels as each of its pixels.
function means(canvas, step, isGrey) {
  const { width, height } = canvas;
  const from = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const made = new ImageData(width / step, height / step);
  for (let y = 0, to = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step, to += 4) {
      let [red, green, blue] = [0, 0, 0];
      for (let row = y; row < y + step; row++) {
        for (let at = 4 * (row * width + x), end = at + 4 * step; at < end; at += 4) {
          red += from[at];
          green += from[at + 1];
          blue += from[at + 2];
        }
      }
      if (isGrey) red = green = blue = 0.299 * red + 0.587 * green + 0.114 * blue;
      const mean = [red, green, blue].map((sum) => sum / step ** 2);
      made.data.set([...mean, 255], to);
    }
  }
  return made;
}
