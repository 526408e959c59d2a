"use strict";
(() => {
  const source = document.getElementById("browser-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const root = document.getElementById("browser");
  const find = (name) => root.querySelector(`[data-part="${name}"]`);
  const PAGE = 20;
  const NOT_PERTURBED = -32768;
  const make = (tag, text, attributes = {}) => {
    const node = document.createElement(tag);
    if (text !== null) node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };

  // Packed arrays are decoded when a paragraph is first needed.
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const unpack = (text, Kind) => (text === null || text === undefined ? null : new Kind(bytes(text)));
  const tokensOf = (p) => (p.tokenIndex ??= unpack(p.t, Uint32Array));
  const textOf = (p) => (p.text ??= Array.from(tokensOf(p), (i) => data.tokens[i]).join(""));
  const sign = (c) => ({ "\n": "⏎\n", "\t": "⇥", "\x7f": "␡" })[c] ?? (c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : "�");
  const visible = (text) => text.replace(/[\x00-\x1f\x7f-\x9f]/g, sign);
  // Isolated, so that a token written from right to left does not turn the sentence around it.
  const quoted = (text) => `“\u2068${visible(text)}\u2069”`;
  const beginning = (text) => [...text.slice(0, 200)].slice(0, 90).join("");
  const shown = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

  // What a token can be coloured by: per position a number or null, and how to say it.
  const quantities = {
    rarity: {
      name: "rarity [bits]", digits: 1,
      values: (p) => Array.from(tokensOf(p), (i) => data.bits[i]),
    },
    drop: {
      name: "perturbation effect: EM drop [tokens]", digits: 1,
      values: (p) => {
        const drops = unpack(p.d, Int16Array);
        return drops && Array.from(tokensOf(p), (_, i) => (i < drops.length && drops[i] !== NOT_PERTURBED ? drops[i] / 100 : null));
      },
    },
    attention: {
      name: "attention [share]", digits: 3,
      values: (p, head) => {
        const all = unpack(p.a, Uint8Array);
        return all && Array.from(tokensOf(p), (_, i) => (i < p.prefix ? (all[head * p.prefix + i] / 255) ** 2 : null));
      },
    },
    nll: {
      name: "token NLL [nats]", digits: 2,
      values: (p) => {
        const nll = unpack(p.n, Uint16Array);
        return nll && Array.from(tokensOf(p), (_, i) => (i > 0 && i <= nll.length ? nll[i - 1] / 1000 : null));
      },
    },
  };

  // The list: filtered, sorted, one page at a time.
  const columns = { em: -1, nll: 1, copies: -1, kind: 1, id: 1 };
  const state = { sort: "em", direction: -1, page: 0, rows: [] };

  const filtered = () => {
    const words = find("search").value.toLowerCase().trim();
    const kind = find("kind").value;
    const recited = find("recited").value;
    return data.paragraphs.filter((p) =>
      (!kind || p.kind === kind) &&
      (!recited || (recited === "perturbed" ? p.d : p.recited === (recited === "yes"))) &&
      (!words || p.id.startsWith(words) || (p.lower ??= textOf(p).toLowerCase()).includes(words)));
  };
  const compare = (a, b) => {
    const [x, y] = [a[state.sort], b[state.sort]];
    const order = x === y ? 0 : x === null ? 1 : y === null ? -1 : (x < y ? -1 : 1) * state.direction;
    return order || Boolean(b.d) - Boolean(a.d) || (a.id < b.id ? -1 : 1);
  };
  const row = (p) => {
    const line = make("tr", null);
    const cell = make("td", null);
    const button = make("button", visible(beginning(textOf(p))).replace(/\s+/g, " ").trim() || p.id, { type: "button", class: "open", dir: "auto", "data-id": p.id });
    button.addEventListener("click", () => open(p, true));
    cell.append(button);
    line.append(cell);
    for (const [name, value] of [["EM", p.em], ["NLL", shown(p.nll, 2)], ["copies", p.copies === null ? "–" : `×${p.copies}`], ["kind", p.kind ?? "–"]]) {
      line.append(make("td", String(value), { "data-name": name }));
    }
    return line;
  };
  const list = () => {
    state.rows = filtered().sort(compare);
    const pages = Math.max(1, Math.ceil(state.rows.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const from = state.page * PAGE;
    find("rows").replaceChildren(...state.rows.slice(from, from + PAGE).map(row));
    const until = Math.min(from + PAGE, state.rows.length);
    find("count").textContent = state.rows.length ? `${from + 1}–${until} of ${state.rows.length} paragraphs` : "No paragraph matches; clear the search.";
    find("previous").disabled = state.page === 0;
    find("next").disabled = state.page >= pages - 1;
    for (const head of root.querySelectorAll("th[data-sort]")) {
      const order = head.dataset.sort === state.sort ? (state.direction > 0 ? "ascending" : "descending") : "none";
      head.setAttribute("aria-sort", order);
    }
    find("sort").value = state.sort;
  };
  const sortBy = (name) => {
    state.direction = state.sort === name ? -state.direction : columns[name];
    state.sort = name;
    state.page = 0;
    list();
  };

  // One paragraph: coloured tokens, then the truth beside what the model writes.
  let current = null;
  const range = (values) => {
    const known = values.filter((v) => v !== null);
    return [Math.min(0, ...known), Math.max(...known, 1e-9)];
  };
  const describe = (p, i) => {
    const head = Number(find("head").value) || 0;
    const parts = Object.entries(quantities).map(([key, q]) => {
      const values = q.values(p, head);
      const name = key === "attention" ? `attention of head ${data.heads[head]}` : q.name;
      return values && values[i] !== null ? `${name}: ${shown(values[i], q.digits)}` : null;
    });
    const where = i < p.prefix ? "prefix" : "continuation";
    return [`${quoted(data.tokens[tokensOf(p)[i]])}, position ${i} (${where})`, ...parts.filter(Boolean)].join("; ");
  };
  const paint = () => {
    const p = current;
    const key = find("colour").value;
    const quantity = quantities[key];
    find("head-choice").hidden = key !== "attention";
    const values = quantity.values(p, Number(find("head").value) || 0);
    const holder = find("tokens");
    if (!values) {
      find("legend").textContent = "Not measured for this paragraph; the filter “perturbed” lists those with everything.";
      holder.replaceChildren(...Array.from(tokensOf(p), (t, i) => span(p, t, i, null, 1)));
      return;
    }
    const [low, high] = range(values);
    find("legend").textContent = `${quantity.name}: palest ${shown(low, quantity.digits)}, strongest ${shown(high, quantity.digits)}. Arrow keys walk through the tokens.`;
    holder.replaceChildren(...Array.from(tokensOf(p), (t, i) => span(p, t, i, values[i] === null ? null : (values[i] - low) / (high - low))));
  };
  const span = (p, token, i, strength) => {
    const node = make("span", visible(data.tokens[token]), { "data-position": i });
    if (strength !== null) node.style.background = `rgba(var(--mark), ${(0.8 * strength).toFixed(3)})`;
    if (i === p.prefix) node.classList.add("boundary");
    if (i === Number(find("tokens").dataset.at)) node.classList.add("at");
    return node;
  };
  const walk = (i) => {
    const holder = find("tokens");
    holder.dataset.at = i;
    holder.querySelector(".at")?.classList.remove("at");
    holder.children[i]?.classList.add("at");
    find("status").textContent = describe(current, i);
  };
  const compareTexts = (p) => {
    const truth = Array.from(tokensOf(p)).slice(p.prefix);
    const written = p.recited || !p.g ? null : Array.from(unpack(p.g, Uint32Array));
    const side = (tokens, other) => tokens.map((t, i) => make(i < p.em ? "span" : other && other[i] === t ? "span" : "mark", visible(data.tokens[t])));
    const truthNodes = side(truth, written);
    if (!p.recited) truthNodes.splice(p.em, 0, make("b", "┃", { title: `divergence at token ${p.em} of the continuation` }));
    find("truth").replaceChildren(...truthNodes);
    const nodes = written ? side(written, truth) : [];
    if (written) nodes.splice(p.em, 0, make("b", "┃", { title: "divergence" }));
    find("written").replaceChildren(...(written ? nodes : [make("span", p.recited ? "The model recites the truth to the end." : "What the model writes instead was not decoded.")]));
    find("divergence").textContent = p.recited ? "" : `The two part after ${p.em} tokens (┃); marked tokens differ.`;
  };
  const open = (p, moves) => {
    current = p;
    const panel = find("panel");
    panel.hidden = false;
    find("title").textContent = `Paragraph ${p.id.slice(0, 12)}`;
    const series = p.series && p.series.length > 1 ? ` Exact match over the checkpoints: ${p.series.join(", ")}.` : "";
    const copies = p.copies === null ? "" : `, ×${p.copies} in training`;
    find("facts").textContent = `${p.source}, ${p.kind ?? "kind unknown"}${copies}; cluster ${String(p.cluster).slice(0, 12)}. Exact match ${p.em}, NLL ${shown(p.nll, 2)} nats per token.${series}`;
    find("tokens").dataset.at = -1;
    find("status").textContent = strongest(p);
    paint();
    compareTexts(p);
    history.replaceState(null, "", `#paragraph-${p.id}`);
    if (moves) panel.focus();
  };
  const close = () => {
    find("panel").hidden = true;
    history.replaceState(null, "", "#browser");
    (root.querySelector(`button.open[data-id="${current.id}"]`) ?? find("search")).focus();
  };
  const strongest = (p) => {
    const drops = quantities.drop.values(p);
    if (!drops) return "";
    const best = drops.reduce((a, v, i) => (v !== null && (a < 0 || v > drops[a]) ? i : a), -1);
    return best < 0 ? "" : `Strongest trigger: ${describe(p, best)}`;
  };
  const step = (by) => {
    const i = state.rows.indexOf(current) + by;
    if (i >= 0 && i < state.rows.length) open(state.rows[i], false);
  };
  const follow = () => {
    const name = decodeURIComponent(location.hash).match(/^#paragraph-(\w+)$/);
    const p = name && data.paragraphs.find((q) => q.id.startsWith(name[1]));
    if (p) open(p, true);
  };

  for (const kind of [...new Set(data.paragraphs.map((p) => p.kind))].filter(Boolean).sort()) find("kind").append(make("option", kind, { value: kind }));
  data.heads.forEach((name, i) => find("head").append(make("option", name, { value: i })));
  for (const [name, event] of [["search", "input"], ["kind", "change"], ["recited", "change"]]) {
    find(name).addEventListener(event, () => { state.page = 0; list(); });
  }
  find("sort").addEventListener("change", (event) => { state.sort = ""; sortBy(event.target.value); });
  for (const head of root.querySelectorAll("th[data-sort] button")) head.addEventListener("click", () => sortBy(head.parentElement.dataset.sort));
  find("previous").addEventListener("click", () => { state.page -= 1; list(); });
  find("next").addEventListener("click", () => { state.page += 1; list(); });
  for (const name of ["colour", "head"]) find(name).addEventListener("change", paint);
  find("close").addEventListener("click", close);
  find("panel").addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  find("back").addEventListener("click", () => step(-1));
  find("forth").addEventListener("click", () => step(1));
  find("tokens").addEventListener("click", (event) => { if (event.target.dataset.position) walk(Number(event.target.dataset.position)); });
  find("tokens").addEventListener("keydown", (event) => {
    const at = Number(find("tokens").dataset.at);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokensOf(current).length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    walk(Math.max(0, Math.min(tokensOf(current).length - 1, to)));
  });
  window.addEventListener("hashchange", follow);
  root.hidden = false;
  list();
  follow();
})();
