// Text is sent as one types.

const PAUSE_MS = 120;

export class TextInput {
  hint = "The answer follows as you type. A text file can be dropped.";

  constructor(box, page) {
    this.field = box.querySelector("textarea");
    this.page = page;
    let timer = 0;
    this.field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#send(), PAUSE_MS);
    });
  }

  use() {
    this.field.value = "";
  }

  async take(file) {
    this.field.value = await file.text();
    this.#send();
  }

  #send() {
    const text = this.field.value;
    if (!text.trim()) return this.page.clear();
    this.page.send(async () => ({ body: text, type: "text/plain; charset=utf-8" }));
  }
}
