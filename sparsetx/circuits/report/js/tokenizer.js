// The byte-level BPE: text to token ids, as in Python.

// Python's split, for which white space is Unicode's (JavaScript's \s is not).
const BLANK = "\\p{White_Space}";
const SIGN = `[^${BLANK}\\p{L}\\p{N}]`;
const SPLIT = new RegExp("'(?:[sS\\u017f]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])" +
  `|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?${SIGN}+[\\r\\n]*` +
  `|${BLANK}*[\\r\\n]+|${BLANK}+(?![^${BLANK}])|${BLANK}+`, "gu");

function letterOfBytes() {
  const plain = (b) => (b >= 0x21 && b < 0x7f) || (b >= 0xa1 && b !== 0xad);
  let hidden = 256;
  return Array.from({ length: 256 }, (_, b) =>
    String.fromCharCode(plain(b) ? b : hidden++));
}

function tokenizerOf({ vocabulary, merges }) {
  const letters = letterOfBytes();
  const ids = new Map(vocabulary.map((word, id) => [word, id]));
  const byteOf = new Map(letters.map((letter, b) => [letter, b]));
  const ranks = new Map(merges.map(([a, b], rank) => [a * 65536 + b,
    { rank, id: ids.get(vocabulary[a] + vocabulary[b]) }]));
  const seen = new Map();
  const ofPiece = (piece) => {
    const found = [...new TextEncoder().encode(piece)].map((b) => ids.get(letters[b]));
    for (;;) {
      let best = null;
      let at = -1;
      for (let i = 0; i + 1 < found.length; i++) {
        const pair = ranks.get(found[i] * 65536 + found[i + 1]);
        if (pair && (!best || pair.rank < best.rank)) [best, at] = [pair, i];
      }
      if (!best) return found;
      found.splice(at, 2, best.id);
    }
  };
  const encode = (text) => (text.match(SPLIT) || []).flatMap((piece) => {
    if (!seen.has(piece)) seen.set(piece, ofPiece(piece));
    return seen.get(piece);
  });
  const decode = (list) => {
    const all = list.flatMap((id) => id < vocabulary.length
      ? [...vocabulary[id]].map((letter) => byteOf.get(letter))
      : [...new TextEncoder().encode("<|endoftext|>")]);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(all));
  };
  return { encode, decode, eot: vocabulary.length };
}
