"use strict";
// Links open what they lead to; n and p walk through the passages of the text; the list can be put in another order.
const open = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView({ block: "start" });
  }
};
addEventListener("hashchange", open);
open();

for (const control of document.querySelectorAll(".interactive")) control.hidden = false;
const key = (item, order) => (order === "place" ? -item.dataset.place : order === "length" ? +item.dataset.length : +item.dataset.surprise);
for (const select of document.querySelectorAll("select[data-list]")) {
  select.addEventListener("change", () => {
    const list = document.getElementById(select.dataset.list);
    const byOrder = (a, b) => (select.value === "place" ? 0 : a.dataset.guessable - b.dataset.guessable) || key(b, select.value) - key(a, select.value);
    list.append(...[...list.children].sort(byOrder));
  });
}

const passages = [...document.querySelectorAll("div.text a[id]")];
let at = -1;
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const step = { n: 1, p: -1 }[event.key];
  if (!step || !passages.length) return;
  const focused = passages.indexOf(document.activeElement);
  at = (Math.max(focused >= 0 ? focused : at, step > 0 ? -1 : 0) + step + passages.length) % passages.length;
  passages[at].focus({ preventScroll: true });
  passages[at].scrollIntoView({ block: "center" });
});
