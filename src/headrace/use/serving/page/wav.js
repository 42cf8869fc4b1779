// Samples as a WAV file: mono, 16 bits.

export function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const words = (at, text) => [...text].forEach((letter, place) => view.setUint8(at + place, letter.charCodeAt(0)));
  words(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  words(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format
  view.setUint16(20, 1, true); // whole numbers
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes per second
  view.setUint16(32, 2, true); // bytes per frame
  view.setUint16(34, 16, true); // bits
  words(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, place) => {
    view.setInt16(44 + 2 * place, Math.max(-32768, Math.min(32767, Math.round(32768 * value))), true);
  });
  return new Blob([view], { type: "audio/wav" });
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
  const first = Math.max(0, powers.findIndex(isLoud) - 3);
  const last = powers.findLastIndex(isLoud) + 4;
  return samples.slice(first * block, last * block);
}
