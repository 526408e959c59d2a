"use strict";
(() => {
  const source = document.getElementById("browser-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const root = document.getElementById("browser");
  const find = (name) => root.querySelector(`[data-part="${name}"]`);
  const PAGE = 12;
  const NOT_PERTURBED = -32768;
  const WIDE = window.matchMedia("(min-width: 62rem)");
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
  // A token that is white space only is shown as what it is; inside a word's token a space stays a space.
  const shownToken = (text) => visible(/^\s+$/.test(text) ? text.replace(/[ \u00a0]/g, "·") : text);
  // Isolated, so that a token written from right to left does not turn the sentence around it.
  const quoted = (text) => `“\u2068${visible(text)}\u2069”`;
  const beginning = (text) => [...text.slice(0, 200)].slice(0, 90).join("");
  const shown = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−"));
  const effect = (p, packed, scale) => {
    const found = unpack(packed, Int16Array);
    return found && Array.from(tokensOf(p), (_, i) => (i < found.length && found[i] !== NOT_PERTURBED ? found[i] / scale : null));
  };

  // What a token can be coloured by: per position a number or null, and how to say it.
  const quantities = {
    drop: { name: "EM drop [tokens]", digits: 1, values: (p) => effect(p, p.d, 100) },
    delta: { name: "ΔNLL [nats]", digits: 2, values: (p) => effect(p, p.e, 1000) },
    rarity: { name: "rarity [bits]", digits: 1, values: (p) => Array.from(tokensOf(p), (i) => data.bits[i]) },
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
    const line = make("li", null, { "data-id": p.id });
    const button = make("button", null, { type: "button", class: "open" });
    button.append(make("span", visible(beginning(textOf(p))).replace(/\s+/g, " ").trim() || p.id, { class: "text", dir: "auto" }));
    const meta = make("span", null, { class: "meta" });
    const length = tokensOf(p).length - p.prefix;
    for (const [name, value] of [["EM", `${p.em} of ${length}`], ["copies", p.copies === null ? "" : `×${p.copies}`], ["NLL", shown(p.nll, 2)], ["kind", p.kind ?? ""], ["triggers", p.d ? "" : "triggers not measured"]]) {
      if (value) meta.append(make("span", value, { "data-name": name }));
    }
    button.append(meta);
    button.addEventListener("click", () => open(p, true));
    line.append(button);
    return line;
  };
  const list = () => {
    state.rows = filtered().sort(compare);
    const pages = Math.max(1, Math.ceil(state.rows.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const from = state.page * PAGE;
    find("rows").parentElement.after(find("panel"));
    find("rows").replaceChildren(...state.rows.slice(from, from + PAGE).map(row));
    find("rows").start = from + 1;
    const until = Math.min(from + PAGE, state.rows.length);
    find("count").textContent = state.rows.length ? `${from + 1}–${until} of ${state.rows.length} paragraphs` : "No paragraph matches; clear the search.";
    find("previous").disabled = state.page === 0;
    find("next").disabled = state.page >= pages - 1;
    find("reverse").setAttribute("aria-pressed", String(state.direction !== columns[state.sort]));
    place();
  };
  // The panel stands beside the list where there is room, else right under the row that it belongs to.
  const place = () => {
    const line = current && find("rows").querySelector(`li[data-id="${current.id}"]`);
    for (const button of find("rows").querySelectorAll("button.open")) button.toggleAttribute("aria-current", line !== null && button.parentElement === line);
    if (WIDE.matches || !line) find("rows").parentElement.after(find("panel"));
    else line.append(find("panel"));
  };

  // One paragraph: what triggers it in words, its strongest triggers, coloured tokens, truth beside model.
  let current = null;
  const strengths = (key, values, deltas) => {
    const known = values.filter((v) => v !== null);
    const low = Math.min(0, ...known), high = Math.max(...known, 1e-9);
    const plain = values.map((v) => (v === null ? null : (v - low) / (high - low)));
    if (key !== "drop" || !deltas) return { low, high, shades: plain, ties: 0 };
    const ties = known.filter((v) => v === high).length;
    const most = Math.max(1e-9, ...deltas.filter((v) => v !== null));
    const shades = ties < 2 ? plain : plain.map((v, i) => (v === null ? null : 0.6 * v + (v > 0 ? 0.4 * Math.max(0, deltas[i] / most) : 0)));
    return { low, high, shades, ties };
  };
  const parts = (p, i) => {
    const head = Number(find("head").value) || 0;
    return Object.entries(quantities).map(([key, q]) => {
      const values = q.values(p, head);
      const name = key === "attention" ? `attention of head ${data.heads[head]}` : q.name;
      return values && values[i] !== null && values[i] !== undefined ? `${name}: ${shown(values[i], q.digits)}` : null;
    }).filter(Boolean);
  };
  const where = (p, i) => `position ${i} (${i < p.prefix ? "prefix" : "continuation"})`;
  const describe = (p, i) => [`${quoted(data.tokens[tokensOf(p)[i]])}, ${where(p, i)}`, ...parts(p, i)].join("; ");
  const paint = () => {
    const p = current;
    const key = find("colour").value;
    const quantity = quantities[key];
    find("head-choice").hidden = find("map").hidden = key !== "attention";
    const values = quantity.values(p, Number(find("head").value) || 0);
    const holder = find("tokens");
    const scale = values && strengths(key, values, quantities.delta.values(p));
    holder.replaceChildren(...Array.from(tokensOf(p), (t, i) => span(p, t, i, scale ? scale.shades[i] : null)));
    root.querySelector(".legend").classList.toggle("bare", !scale);
    find("low").textContent = scale ? `${quantity.name} ${shown(scale.low, quantity.digits)}` : "";
    find("high").textContent = scale ? shown(scale.high, quantity.digits) : "";
    find("legend").textContent = scale ? (scale.ties > 1 ? "Ties are shaded by ΔNLL." : "") : "Not measured for this paragraph; the filter “triggers measured” lists those with everything.";
  };
  const span = (p, token, i, strength) => {
    const text = data.tokens[token];
    const node = make("span", shownToken(text), { "data-position": i });
    if (/^\s+$/.test(text)) node.classList.add("blank");
    if (strength !== null) node.style.background = `rgba(var(--mark), ${(0.8 * strength).toFixed(3)})`;
    if (i === p.prefix) node.classList.add("boundary");
    if (i >= p.prefix && strength === null) node.classList.add("after");
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
  const ranked = (p) => {
    const drops = quantities.drop.values(p), deltas = quantities.delta.values(p);
    if (!drops) return [];
    return drops.map((drop, i) => ({ i, drop, delta: deltas?.[i] ?? 0 })).filter((t) => t.drop !== null)
      .sort((a, b) => b.drop - a.drop || b.delta - a.delta || a.i - b.i);
  };
  const answer = (p, order) => {
    if (!order.length) return "What its tokens trigger was not measured for this paragraph; filter by “triggers measured”.";
    const [first] = order;
    const token = `${quoted(data.tokens[tokensOf(p)[first.i]])} at position ${first.i}`;
    const what = p.recited ? "recital" : "of what the model writes";
    if (first.drop <= 0) return "No single token triggers it: whichever is replaced, the model goes on as before.";
    const ties = order.filter((t) => t.drop === first.drop).length;
    const all = first.drop >= tokensOf(p).length - p.prefix ? (p.recited ? "the whole recital" : "all of what the model writes") : `${shown(first.drop, 1)} tokens ${p.recited ? "of the recital" : what}`;
    if (ties > 1) return `${ties} tokens each destroy ${all}; of these ${token} makes the text least likely.`;
    return `Strongest trigger: ${token}. Replacing it destroys ${all}.`;
  };
  const looking = (p, i) => {
    const all = unpack(p.a, Uint8Array);
    if (!all) return "–";
    let best = 0;
    for (let h = 1; h < data.heads.length; h += 1) if (all[h * p.prefix + i] > all[best * p.prefix + i]) best = h;
    return `${data.heads[best]} (${shown((all[best * p.prefix + i] / 255) ** 2, 2)})`;
  };
  const strongest = (p, order) => {
    find("strongest").hidden = !order.length;
    find("strongest").tBodies[0].replaceChildren(...order.filter((t, i) => !i || t.drop > 0).slice(0, 5).map(({ i, drop, delta }) => {
      const line = make("tr", null, { "data-position": i });
      line.append(make("td", shownToken(data.tokens[tokensOf(p)[i]]), { class: "text token", dir: "auto" }));
      for (const value of [String(i), shown(drop, 1), shown(delta, 2), shown(data.bits[tokensOf(p)[i]], 1), looking(p, i)]) line.append(make("td", value));
      return line;
    }));
  };
  const compareTexts = (p) => {
    const truth = Array.from(tokensOf(p)).slice(p.prefix);
    const written = p.recited || !p.g ? null : Array.from(unpack(p.g, Uint32Array));
    const side = (tokens, other) => tokens.map((t, i) => make(i < p.em ? "span" : other && other[i] === t ? "span" : "mark", shownToken(data.tokens[t])));
    const truthNodes = side(truth, written);
    if (!p.recited) truthNodes.splice(p.em, 0, make("b", "┃", { title: `divergence at token ${p.em} of the continuation` }));
    find("truth").replaceChildren(...truthNodes);
    const nodes = written ? side(written, truth) : [];
    if (written) nodes.splice(p.em, 0, make("b", "┃", { title: "divergence" }));
    find("written").replaceChildren(...(written ? nodes : [make("em", p.recited ? "The same, to the end." : "What the model writes instead was not decoded.")]));
    find("divergence").textContent = p.recited ? "" : `The two part after ${p.em} tokens (┃); marked tokens differ.`;
  };
  const open = (p, moves) => {
    current = p;
    const panel = find("panel");
    panel.hidden = false;
    const length = tokensOf(p).length - p.prefix;
    find("title").textContent = p.recited ? `Recited to the end, ${length} tokens` : `Recited for ${p.em} of ${length} tokens`;
    const series = p.series && p.series.length > 1 ? ` Tokens recited over the checkpoints: ${p.series.join(", ")}.` : "";
    const copies = p.copies === null ? "" : `, ×${p.copies} in training`;
    find("facts").textContent = `Paragraph ${p.id.slice(0, 12)}: ${p.source}, ${p.kind ?? "kind unknown"}${copies}; cluster ${String(p.cluster).slice(0, 12)}; NLL ${shown(p.nll, 2)} nats per token.${series}`;
    const order = ranked(p);
    find("answer").textContent = answer(p, order);
    strongest(p, order);
    find("tokens").dataset.at = order.length ? order[0].i : -1;
    find("status").textContent = order.length ? describe(p, order[0].i) : "";
    paint();
    compareTexts(p);
    place();
    if (!moves) return;
    history.replaceState(null, "", `#paragraph-${p.id}`);
    panel.focus({ preventScroll: true });
    panel.scrollIntoView({ block: WIDE.matches ? "nearest" : "start" });
  };
  const close = () => {
    const id = current.id;
    current = null;
    find("panel").hidden = true;
    place();
    history.replaceState(null, "", "#browser");
    (find("rows").querySelector(`li[data-id="${id}"] button`) ?? find("search")).focus();
  };
  const step = (by) => {
    const i = state.rows.indexOf(current) + by;
    if (i < 0 || i >= state.rows.length) return;
    state.page = Math.floor(i / PAGE);
    current = state.rows[i];
    list();
    open(state.rows[i], true);
  };
  const follow = () => {
    let name = "";
    try { name = decodeURIComponent(location.hash); } catch { return; }
    const wanted = name.match(/^#paragraph-(\w+)$/);
    const p = wanted && data.paragraphs.find((q) => q.id.startsWith(wanted[1]));
    if (!p) return;
    current = p;
    const at = state.rows.indexOf(p);
    if (at >= 0) { state.page = Math.floor(at / PAGE); list(); }
    open(p, true);
  };

  // Heads by layer, coloured by how their attention goes with rarity; one tab stop, arrow keys inside.
  const buildMap = () => {
    const most = Math.max(1e-9, ...data.leans.map((v) => Math.abs(v ?? 0)));
    const layers = [...new Set(data.heads.map((name) => name.split(".")[0]))];
    find("map").replaceChildren(make("span", "Heads by layer; darker: looks more at rare tokens (Spearman).", { class: "soft" }), ...layers.map((layer) => {
      const line = make("div", null);
      line.append(make("span", `layer ${layer}`, { class: "layer" }));
      data.heads.forEach((name, i) => {
        if (name.split(".")[0] !== layer) return;
        const lean = data.leans[i];
        const cell = make("button", name.split(".")[1], { type: "button", tabindex: i ? -1 : 0, "data-head": i, "aria-label": `head ${name}, Spearman ${shown(lean, 2)}`, title: `head ${name}, Spearman ${shown(lean, 2)}` });
        cell.style.background = `rgba(var(--mark), ${(0.75 * Math.max(0, (lean ?? 0) / most)).toFixed(3)})`;
        line.append(cell);
      });
      return line;
    }));
  };
  find("map").addEventListener("click", (event) => {
    if (!event.target.dataset.head) return;
    find("head").value = event.target.dataset.head;
    paint();
  });
  find("map").addEventListener("keydown", (event) => {
    const cells = [...find("map").querySelectorAll("button")];
    const at = cells.indexOf(document.activeElement);
    const wide = cells.filter((c) => c.parentElement === cells[at]?.parentElement).length;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + wide, ArrowUp: at - wide }[event.key];
    if (to === undefined || !cells[to]) return;
    event.preventDefault();
    cells[at].tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
  });

  // What stands at a token, beside the pointer; for the keyboard the same stands in the status line.
  const tip = find("tip");
  find("tokens").addEventListener("pointermove", (event) => {
    const i = event.target.dataset?.position;
    tip.hidden = i === undefined || !current;
    if (tip.hidden) return;
    tip.replaceChildren(make("strong", quoted(data.tokens[tokensOf(current)[i]])), ...[where(current, Number(i)), ...parts(current, Number(i))].map((text) => make("span", text)));
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${event.clientY + tip.offsetHeight + 24 > window.innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
  });
  find("tokens").addEventListener("pointerleave", () => { tip.hidden = true; });

  for (const kind of [...new Set(data.paragraphs.map((p) => p.kind))].filter(Boolean).sort()) find("kind").append(make("option", kind, { value: kind }));
  data.heads.forEach((name, i) => find("head").append(make("option", name, { value: i })));
  buildMap();
  for (const [name, event] of [["search", "input"], ["kind", "change"], ["recited", "change"]]) {
    find(name).addEventListener(event, () => { state.page = 0; list(); });
  }
  find("sort").addEventListener("change", (event) => { Object.assign(state, { sort: event.target.value, direction: columns[event.target.value], page: 0 }); list(); });
  find("reverse").addEventListener("click", () => { state.direction = -state.direction; state.page = 0; list(); });
  find("previous").addEventListener("click", () => { state.page -= 1; list(); });
  find("next").addEventListener("click", () => { state.page += 1; list(); });
  for (const name of ["colour", "head"]) find(name).addEventListener("change", paint);
  find("close").addEventListener("click", close);
  find("panel").addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  find("back").addEventListener("click", () => step(-1));
  find("forth").addEventListener("click", () => step(1));
  find("strongest").addEventListener("click", (event) => { const line = event.target.closest("tr[data-position]"); if (line) walk(Number(line.dataset.position)); });
  find("tokens").addEventListener("click", (event) => { if (event.target.dataset.position) walk(Number(event.target.dataset.position)); });
  find("tokens").addEventListener("keydown", (event) => {
    const at = Number(find("tokens").dataset.at);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokensOf(current).length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    walk(Math.max(0, Math.min(tokensOf(current).length - 1, to)));
  });
  window.addEventListener("hashchange", follow);
  WIDE.addEventListener("change", place);
  root.hidden = false;
  list();
  if (state.rows.length) open(state.rows.find((p) => p.recited && p.d) ?? state.rows[0], false);
  follow();
})();
