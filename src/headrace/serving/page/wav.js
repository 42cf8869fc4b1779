// Samples as a WAV file: mono, 16 bits.

export function wav(samples, rate) {
  const size = 2 * samples.length;
  const [riff, wave, format, data] = ["RIFF", "WAVE", "fmt ", "data"].map(word);
  // A format of 16 bytes: whole numbers, 1 channel, 2 bytes a frame, 16 bits a sample.
  const header = [riff, 36 + size, wave, format, 16, 0x0001_0001, rate, 2 * rate, 0x0010_0002, data, size];
  const whole = (value) => Math.max(-32768, Math.min(32767, Math.round(32768 * value)));
  const parts = [Uint32Array.from(header), Int16Array.from(samples, whole)]; // little endian
  return new Blob(parts, { type: "audio/wav" });
}

function word(letters) {
  return [...letters].reduceRight((value, letter) => value * 256 + letter.charCodeAt(0), 0);
}

// The sound between its quiet ends.
export function withoutQuietEnds(samples, rate) {
  const block = Math.max(1, Math.round(rate / 100));
  const powers = [];
  for (let start = 0; start < samples.length; start += block) {
    const part = samples.subarray(start, start + block);
    powers.push(part.reduce((sum, value) => sum + value * value, 0) / part.length);
  }
  const least = Math.max(...powers) * 1e-3; // 30 dB below the loudest
  const isLoud = (power) => power > least;
  const first = Math.max(0, powers.findIndex(isLoud) - 1);
  const last = powers.findLastIndex(isLoud) + 2;
  return samples.slice(first * block, last * block);
}
