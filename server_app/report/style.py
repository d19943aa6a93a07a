"""The style sheet of the page: a template, as the palette fills in its colours."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fcfcfa; --panel: #ffffff; --ink: #1b2026; --quiet: #59626d; --rule: #e3e4df; --track: #ecede8;
  --heat: 74 155 212; --neutral: #5f6771; --good: #00714f; --bad: #b3261e; --band: #8f6b00;
  {% for hex in palette.LIGHT %}--s{{ loop.index0 }}: {{ hex }}; {% endfor %}

}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #13161b; --panel: #1a1e24; --ink: #e7eaee; --quiet: #a0a9b4; --rule: #2d333b; --track: #2a3038;
    --heat: 30 102 160; --neutral: #b3bcc7; --good: #35cf9d; --bad: #ff8a80; --band: #e8bf4a;
    {% for hex in palette.DARK %}--s{{ loop.index0 }}: {{ hex }}; {% endfor %}

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
.chart .edge { fill: none; stroke: var(--rule); }
.chart .column { fill: var(--c); }
.chart .spread { fill: var(--c); opacity: 0.16; }
.chart .band { fill: var(--band); opacity: 0.16; }
.tie { stroke: var(--c); stroke-width: 0.8; opacity: 0.35; }
.point { fill: var(--c); opacity: 0.85; }
.merged { fill: var(--page); stroke: var(--ink); stroke-width: 1.8; }
.legend {
  list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.2rem; margin: 0; padding: 0; font-size: 0.92rem;
}
.key { width: 1em; height: 1em; margin-right: 0.4em; vertical-align: -0.12em; overflow: visible; }
.scroll { overflow-x: auto; }
.grid + .scroll, .grid + .grid, .scroll + .scroll { margin-top: 2rem; }
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
.shares th:first-child { width: 42%; padding-right: 0.6rem; }
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
