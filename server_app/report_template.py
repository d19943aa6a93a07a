"""The template of ``report.html``: a string, because Flower's app bundle leaves template files out."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fcfcfa; --panel: #ffffff; --ink: #1b2026; --quiet: #59626d; --rule: #e3e4df; --track: #ecede8;
  --heat: 74 155 212; --neutral: #5f6771; --good: #00714f; --bad: #b3261e; --band: #8f6b00;
  {% for hex in charts.LIGHT %}--s{{ loop.index0 }}: {{ hex }}; {% endfor %}

}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #13161b; --panel: #1a1e24; --ink: #e7eaee; --quiet: #a0a9b4; --rule: #2d333b; --track: #2a3038;
    --heat: 30 102 160; --neutral: #b3bcc7; --good: #35cf9d; --bad: #ff8a80; --band: #e8bf4a;
    {% for hex in charts.DARK %}--s{{ loop.index0 }}: {{ hex }}; {% endfor %}

  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0 auto; max-width: 72rem; padding: 3.5rem 2rem 5rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 {
  font-size: 2.5rem; line-height: 1.1; letter-spacing: -0.025em; font-weight: 650; margin: 0.4rem 0 0.8rem;
  overflow-wrap: anywhere;
}
h2 { font-size: 1.35rem; letter-spacing: -0.012em; font-weight: 650; margin: 0 0 0.3rem; }
h3, figcaption, caption { font-size: 0.95rem; font-weight: 600; text-align: left; margin: 0; padding: 0 0 0.5rem; }
p { margin: 0; max-width: 46rem; }
a { color: inherit; text-underline-offset: 0.2em; text-decoration-color: var(--rule); }
a:hover { text-decoration-color: currentColor; }
section { margin-top: 3.5rem; padding-top: 1.6rem; border-top: 1px solid var(--rule); }
code, pre {
  font: 0.86em/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere;
}
pre {
  margin: 0.8rem 0 0; padding: 1rem 1.2rem; background: var(--panel);
  border: 1px solid var(--rule); border-radius: 8px; white-space: pre-wrap;
}
.quiet { color: var(--quiet); }
.lead { margin-bottom: 1.6rem; color: var(--quiet); }
.top { display: flex; align-items: center; gap: 0.8rem; font-size: 0.9rem; color: var(--quiet); }
.state { padding: 0.1rem 0.65rem; border: 1px solid currentColor; border-radius: 99px; font-size: 0.82rem; font-weight: 600; }
.finished { color: var(--good); } .failed { color: var(--bad); } .unfinished { color: var(--band); }
.notice {
  margin-top: 1.2rem; padding: 0.7rem 1rem; border-left: 3px solid var(--band); background: var(--panel);
  overflow-wrap: anywhere;
}
.facts, nav ul {
  list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.4rem; margin: 0; padding: 0; color: var(--quiet);
  font-size: 0.95rem;
}
.facts b, .facts code { color: var(--ink); font-weight: 600; overflow-wrap: anywhere; }
nav { margin-top: 1.6rem; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1px; margin: 2.2rem 0 0;
  padding: 0;
}
.cards { background: var(--panel); border: 1px solid var(--rule); border-radius: 12px; overflow: hidden; }
.cards div { box-shadow: 0 0 0 1px var(--rule); padding: 1.1rem 1.3rem 1.2rem; }
.cards dt { color: var(--quiet); font-size: 0.88rem; }
.cards dd { margin: 0; }
.cards .value { font-size: 2.05rem; line-height: 1.25; font-weight: 620; letter-spacing: -0.025em; }
.cards .note { font-size: 0.86rem; color: var(--quiet); }
.grid {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 2rem 2.2rem;
  margin-top: 1.4rem;
}
.columns { columns: 19rem; column-gap: 2.2rem; }
.grid > *, section > figure, section > .scroll { min-width: 0; margin: 0; }
figure { margin: 0; }
svg.chart { display: block; width: 100%; height: auto; max-width: 44rem; overflow: visible; }
.chart text {
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; fill: var(--quiet);
}
.chart .name { fill: var(--c); font-weight: 600; }
.chart .rule, .chart .axis { stroke: var(--rule); stroke-width: 1; }
.chart .axis { stroke: var(--quiet); }
.chart .line { fill: none; stroke: var(--c); stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.chart .dot { fill: var(--c); stroke: var(--page); stroke-width: 1.4; }
.chart .column { fill: var(--c); }
.chart .band { fill: var(--band); opacity: 0.16; }
.scroll { overflow-x: auto; }
.grid + .scroll, .grid + .grid { margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
th, td { padding: 0.4rem 1.3rem 0.4rem 0; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: middle; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--quiet); font-weight: 500; font-size: 0.85rem; vertical-align: bottom; }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; }
.wrap { overflow-wrap: anywhere; min-width: 6.5rem; }
tr.total > * { border-bottom: 0; font-weight: 650; }
.tag { white-space: nowrap; }
.tag::before {
  content: ""; display: inline-block; width: 0.62em; height: 0.62em; margin-right: 0.5em; border-radius: 50%;
  background: var(--c);
}
.measure {
  display: grid; grid-template-columns: minmax(2.5rem, 1fr) 4rem; gap: 0.7rem; align-items: center; text-align: right;
  white-space: nowrap;
}
.bar { display: block; width: 100%; height: 8px; border-radius: 4px; overflow: hidden; }
.bar .track { fill: var(--track); } .bar .fill { fill: var(--c); } .bar .mark { fill: var(--ink); }
.shares { table-layout: fixed; break-inside: avoid; margin-bottom: 2rem; }
.shares th { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.shares th:first-child { width: 42%; }
.heat { table-layout: fixed; border-collapse: separate; border-spacing: 3px; }
.heat th, .heat td { border: 0; padding: 0.6rem 0.2rem; overflow: hidden; text-overflow: ellipsis; }
.heat tbody th { text-align: right; }
.heat thead td { width: 5.6em; color: var(--quiet); font-size: 0.85rem; text-align: right; }
.heat thead td, .heat tbody th { padding-right: 0.6rem; }
.heat thead th, .heat tbody td { text-align: center; }
.heat tbody td {
  border-radius: 5px; background: rgb(var(--heat) / var(--v, 0)); print-color-adjust: exact;
  -webkit-print-color-adjust: exact;
}
details { margin-top: 1.6rem; }
summary { cursor: pointer; font-weight: 600; font-size: 0.95rem; padding: 0.3rem 0; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--s0); outline-offset: 3px; border-radius: 3px; }
footer { margin-top: 4rem; color: var(--quiet); font-size: 0.88rem; }
@media (max-width: 40rem) {
  body { padding: 1.8rem 1.1rem 3rem; }
  h1 { font-size: 1.9rem; }
  section { margin-top: 2.6rem; }
  .cards { grid-template-columns: 1fr 1fr; }
  .cards div { padding: 0.8rem 0.9rem 0.9rem; }
  .cards .value { font-size: 1.45rem; }
  .chart text { font-size: 15px; }
  .heat { font-size: 0.82rem; border-spacing: 2px; }
  .heat th, .heat td { padding: 0.5rem 0.1rem; }
  .heat thead th, .heat thead td { font-size: 0.76rem; }
  .heat .tag::before { display: none; }
}
@media print {
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  section, figure, .cards div, tr { break-inside: avoid; }
  section { margin-top: 1.6rem; }
  nav { display: none; }
}
"""

MACROS = """
{%- macro tag(name) %}<span class="tag" style="{{ charts.colour(run.slots.get(name)) }}">{{ name }}</span>{% endmacro %}
{%- macro figures(drawn) %}
{% for caption, chart in drawn %}
<figure><figcaption>{{ caption }}</figcaption>{{ chart }}</figure>
{% endfor %}
{% endmacro %}
{%- macro th(text, class="") %}<th scope="col"{% if class %} class="{{ class }}"{% endif %}>{{ text }}</th>{% endmacro %}
{%- macro n(text) %}<td class="number">{{ text }}</td>{% endmacro %}
{%- macro measure(value, slot, scale=1, mark=none) %}
{% if value is not none %}<div class="measure">{{ charts.bar(value / scale, slot, mark) }}{{ value | percent }}</div>{% endif %}
{% endmacro %}
{%- macro rounds(numbers) %}{{ "round" if numbers | length == 1 else "rounds" }} {{ numbers | join(", ") }}{% endmacro %}
{%- macro matrix(heat, corner) %}
<div>
<table class="heat">
  <caption>{{ heat.caption }}</caption>
  <thead><tr><td>{{ corner }}</td>
    {% for column in heat.labels %}<th scope="col" title="{{ column }}">{{ column }}</th>{% endfor %}</tr></thead>
  <tbody>
  {% for row in heat.labels %}
  <tr><th scope="row" title="{{ row }}">{{ tag(row) }}</th>
    {% for column in heat.labels %}
    {% set value = heat.cells.get(row, {}).get(column) %}
    {% if value is none %}<td></td>
    {% else %}<td style="--v:{{ [[value, 0] | max, 1] | min | round(3) if value == value else 0 }}">{{ value | score }}</td>
    {% endif %}
    {% endfor %}
  </tr>
  {% endfor %}
  </tbody>
</table>
</div>
{% endmacro %}
"""

HEAD = """
<header>
  <div class="top"><span>Concord run report</span><span class="state {{ run.state[0] }}">{{ run.state[0] }}</span></div>
  <h1>{{ title }}</h1>
  <ul class="facts">
    <li>scenario <b>{{ run.setting("scenario") }}</b></li>
    <li>seed <b>{{ run.setting("seed") }}</b></li>
    <li>rounds <b>{{ run.rounds_done }} of {{ run.setting("rounds") }}</b></li>
    {% if run.holdings %}<li>nodes <b>{{ run.holdings | length }}</b></li>{% endif %}
    {% if run.modalities %}<li>modalities <b>{{ run.modalities | join(", ") }}</b></li>{% endif %}
    {% if run.result %}<li>anchors <code title="{{ run.result.anchors }}">{{ run.result.anchors[:12] }}</code></li>{% endif %}
  </ul>
  {% if run.state[1] %}<p class="notice">{{ run.state[1] }}</p>{% endif %}
  {% if cards %}
  <dl class="cards">
    {% for card in cards %}
    <div><dt>{{ card.label }}</dt><dd class="value">{{ card.value }}</dd><dd class="note">{{ card.note }}</dd></div>
    {% endfor %}
  </dl>
  {% endif %}
  <nav aria-label="Sections"><ul>
    <li><a href="#accuracy">Accuracy</a></li>
    <li><a href="#agreement">Agreement</a></li>
    <li><a href="#retrieval">Retrieval</a></li>
    <li><a href="#weights">Weights</a></li>
    <li><a href="#traffic">Traffic</a></li>
    <li><a href="#rejections">Rejected replies</a></li>
    <li><a href="#run">The run</a></li>
  </ul></nav>
</header>
"""

ACCURACY = """
<section id="accuracy"><h2>Accuracy</h2>
{% if run.accuracy or node_rows %}
<p class="lead">The global model on the test samples of all nodes that hold a modality.
{%- if run.rounds_kept %} Shaded: rounds that kept the old model.{% endif %}</p>
<div class="grid">{{ figures(accuracy_charts) }}</div>
{% if run.accuracy %}
<div class="scroll"><table>
  <caption>{{ "At the end" if run.result else "Latest" }}, by modality</caption>
  <thead><tr>{{ th("Modality") }}
    {% for split in run.splits %}{{ th(split ~ " split") }}{% endfor %}
    {% if run.result %}{% for split in run.splits %}{{ th(split ~ " samples", "number") }}{% endfor %}{% endif %}</tr></thead>
  <tbody>
  {% for name in run.modalities %}
  <tr><th scope="row">{{ tag(name) }}</th>
    {% for split in run.splits %}
    {% set value = run.accuracy.get(split, {}).get(name) %}
    <td>{{ measure(value, run.slots[name]) }}</td>
    {% endfor %}
    {% if run.result %}{% for split in run.splits %}
    {% set one = run.result.accuracy.get(split, {}).get(name) %}
    <td class="number">{% if one %}{{ one.examples }}{% endif %}</td>
    {% endfor %}{% endif %}
  </tr>
  {% endfor %}
  </tbody>
</table></div>
{% endif %}
{% if node_rows %}
<details{{ " open" if node_rows | length <= 24 }}><summary>By node</summary>
<div class="scroll"><table>
  <thead><tr>{{ th("Node") }}{{ th("Modality") }}
    {% for split in run.splits %}{{ th(split ~ " split") }}{% endfor %}
    {% if run.result %}{{ th("Samples", "number") }}{{ th("Labelled", "number") }}{% endif %}</tr></thead>
  <tbody>
  {% for row in node_rows %}
  <tr><th scope="row" class="wrap">{{ row.node }}</th><td>{{ tag(row.modality) }}</td>
    {% for split in run.splits %}
    {% set value = row.accuracy.get(split) %}
    <td>{{ measure(value, run.slots[row.modality]) }}</td>
    {% endfor %}
    {% if run.result %}{{ n(row.examples | whole) }}{{ n(row.labelled | whole) }}{% endif %}
  </tr>
  {% endfor %}
  </tbody>
</table></div></details>
{% endif %}
{% else %}<p class="quiet">Nothing has been evaluated yet.</p>{% endif %}
</section>
"""

AGREEMENT = """
<section id="agreement"><h2>Agreement between modalities</h2>
{% if cka_map or cka_charts %}
<p class="lead">Centred kernel alignment of the anchors' Gram matrices: 1 where two modalities arrange the concepts alike.</p>
<div class="grid">{{ figures(cka_charts) }}{% if cka_map %}{{ matrix(cka_map, "") }}{% endif %}</div>
{% else %}<p class="quiet">Not measured: it takes two modalities with anchors.</p>{% endif %}
</section>
<section id="retrieval"><h2>Retrieval across modalities</h2>
{% if precision_maps %}
<p class="lead">How many of the ten nearest test samples of the column's modality have the class of the row's sample (P@10).</p>
<div class="grid">{% for heat in precision_maps %}{{ matrix(heat, "query") }}{% endfor %}</div>
<details><summary>Mean average precision</summary>
<div class="grid">{% for heat in ranking_maps %}{{ matrix(heat, "query") }}{% endfor %}</div></details>
{% else %}
<p class="quiet">Not measured: it takes <code>share-test-embeddings</code>, two modalities and a finished run.</p>
{% endif %}
</section>
"""

ROUNDS = """
<section id="weights"><h2>Aggregation weights</h2>
{% if weight_panels %}
<p class="lead">The share of each node in the last average of a group. The thin line is an equal share.</p>
<div class="columns">
{% for panel in weight_panels %}
<table class="shares">
  <caption>{{ panel.group }}</caption>
  <thead><tr>{{ th("Node") }}{{ th("Share", "number") }}</tr></thead>
  <tbody>
  {% for node, slot, share in panel.rows %}
  <tr><th scope="row" title="{{ node }}">{{ node }}</th>
    <td>{{ measure(share, slot, panel.scale, panel.equal / panel.scale) }}</td></tr>
  {% endfor %}
  </tbody>
</table>
{% endfor %}
</div>
{% else %}<p class="quiet">Nothing has been averaged yet.</p>{% endif %}
</section>
<section id="traffic"><h2>Traffic</h2>
{% if byte_chart %}
<p class="lead">Contents of all messages: <span class="tag" style="{{ charts.colour(charts.UP) }}">up, from the nodes</span> and
<span class="tag" style="{{ charts.colour(charts.DOWN) }}">down, to the nodes</span>.</p>
<div class="grid">
<figure><figcaption>All nodes, by round</figcaption>{{ byte_chart }}</figure>
{% if run.result and run.result.bytes.nodes %}
<div class="scroll"><table>
  <caption>Whole run, by node</caption>
  <thead><tr>{{ th("Node") }}{{ th("Up", "number") }}{{ th("Down", "number") }}</tr></thead>
  <tbody>
  {% for node, sent in run.result.bytes.nodes.items() %}
  <tr><th scope="row" class="wrap">{{ node }}</th>{{ n(sent.up | size) }}{{ n(sent.down | size) }}</tr>
  {% endfor %}
  <tr class="total"><th scope="row">Total</th>
    {{ n(run.result.bytes.up_total | size) }}{{ n(run.result.bytes.down_total | size) }}</tr>
  </tbody>
</table></div>
{% endif %}
</div>
<details><summary>Round by round</summary>
<div class="scroll"><table>
  <thead><tr>
    {{ th("Round") }}{{ th("Time", "number") }}{{ th("Asked", "number") }}
    {{ th("Replies", "number") }}{{ th("Rejected", "number") }}{{ th("Up", "number") }}
    {{ th("Down", "number") }}{{ th("Model") }}</tr></thead>
  <tbody>
  {% for row in round_rows %}
  <tr><th scope="row">{{ row.round }}</th>{{ n(row.seconds | duration) }}
    {{ n(row.asked | whole) }}{{ n(row.replies | whole) }}{{ n(row.rejected | whole) }}
    {{ n(row.up | size) }}{{ n(row.down | size) }}
    <td>{{ "kept the old one" if row.kept else "new" }}</td></tr>
  {% endfor %}
  </tbody>
</table></div></details>
{% else %}<p class="quiet">No round has ended yet.</p>{% endif %}
</section>
<section id="rejections"><h2>Rejected replies</h2>
{% if run.rejections %}
<p class="lead">Replies that failed a check and were left out of the average.
{%- if run.rounds_kept %} Too few good replies: {{ rounds(run.rounds_kept) }}
kept the old model.{% endif %}</p>
<div class="scroll"><table>
  <thead><tr>{{ th("Round") }}{{ th("Node") }}{{ th("Reason") }}{{ th("Detail") }}</tr></thead>
  <tbody>
  {% for one in run.rejections %}
  <tr><th scope="row">{{ one.round or "census" }}</th><td class="wrap">{{ one.node }}</td><td><code>{{ one.reason }}</code></td>
    <td class="wrap">{{ one.detail }}</td></tr>
  {% endfor %}
  </tbody>
</table></div>
{% else %}<p class="quiet">None.
{%- if run.rounds_kept %} Too few replies came in {{ rounds(run.rounds_kept) }}: the old model was kept.{% endif %}</p>{% endif %}
</section>
"""

RUN = """
<section id="run"><h2>The run</h2>
<h3>How to reproduce</h3>
<pre><code>{{ command }}</code></pre>
<details><summary>Configuration</summary>
<div class="scroll"><table>
  <thead><tr>{{ th("Key") }}{{ th("Value") }}</tr></thead>
  <tbody>
  {% for key, value in run.config | dictsort %}
  <tr><th scope="row"><code>{{ key }}</code></th><td class="wrap"><code>{{ value }}</code></td></tr>
  {% endfor %}
  </tbody>
</table></div></details>
{% if run.result and run.result.versions %}
<details><summary>Versions</summary>
<table>
  <thead><tr>{{ th("Package") }}{{ th("Version") }}</tr></thead>
  <tbody>
  {% for package, version in run.result.versions | dictsort %}
  <tr><th scope="row">{{ package }}</th><td><code>{{ version }}</code></td></tr>
  {% endfor %}
  </tbody>
</table></details>
{% endif %}
</section>
"""

TEMPLATE = f"""<!DOCTYPE html>
<html lang="en">
{MACROS}
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{{{ title }}}} – Concord</title>
<style>{STYLE}</style>
</head>
<body>
{HEAD}
<main>
{ACCURACY}
{AGREEMENT}
{ROUNDS}
{RUN}
</main>
<footer>Written by Concord. The figures are in <code>result.json</code> and <code>metrics.jsonl</code> beside this page.</footer>
</body>
</html>
"""
