"use strict";

// What the pages of a report share: their data, and the search.

// Pieces of data are scripts that call this, since a page from a disk may load nothing else.
const waiting = new Map();
const marquee = {
  piece(name, data) {
    waiting.get(name)?.(data);
    waiting.delete(name);
  },
};

function load(name) {
  return new Promise((done, failed) => {
    waiting.set(name, done);
    const script = element("script");
    script.src = `data/${name}.js`;
    script.addEventListener("error", () => failed(new Error(`data/${name}.js is not there`)));
    script.addEventListener("load", () => script.remove());
    document.head.append(script);
  });
}

// Whether a plain line has every word of what is sought: as it is, as its beginning, or with one letter wrong.
function seeker(sought) {
  const phrases = [];
  const rest = plain(sought).replace(/"([^"]*)"/g, (_, phrase) => (phrases.push(phrase.trim()), " "));
  const words = rest.match(/[\p{L}\p{N}]+/gu) ?? [];
  if (!words.length && !phrases.some(Boolean)) return null;
  return (text) => {
    if (!phrases.every((phrase) => text.includes(phrase))) return false;
    const there = text.match(/[\p{L}\p{N}]+/gu) ?? [];
    return words.every((word) => there.some((other) => other.startsWith(word) || near(word, other)));
  };
}

// At most one letter is missing, added or wrong; two that changed places count as one. Short words are exact.
function near(a, b) {
  if (a.length < 4 || Math.abs(a.length - b.length) > 1) return false;
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  if (a.slice(i + 1) === b.slice(i + 1) || a.slice(i + 1) === b.slice(i) || a.slice(i) === b.slice(i + 1)) return true;
  return a[i] === b[i + 1] && a[i + 1] === b[i] && a.slice(i + 2) === b.slice(i + 2);
}

function trouble(text) {
  const line = byId("trouble");
  line.textContent = text;
  line.hidden = false;
}
