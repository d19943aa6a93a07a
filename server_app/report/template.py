"""The template of the page: strings, because Flower's app bundle leaves template files out."""

from __future__ import annotations

from server_app.report.sections import SECTIONS
from server_app.report.style import STYLE

MACROS = """
{%- macro tag(name) %}<span class="tag" style="{{ palette.colour(run.slots.get(name)) }}">{{ name }}</span>{% endmacro %}
{%- macro figures(drawn) %}
{% for caption, chart in drawn %}
<figure><figcaption>{{ caption }}</figcaption>{{ chart }}</figure>
{% endfor %}
{% endmacro %}
{%- macro th(text, class="") %}<th scope="col"{% if class %} class="{{ class }}"{% endif %}>{{ text }}</th>{% endmacro %}
{%- macro n(text) %}<td class="number">{{ text }}</td>{% endmacro %}
{%- macro measure(value, slot, scale=1, mark=none) %}
{% if value is not none %}<div class="measure">{{ bar(value / scale, slot, mark) }}{{ value | percent }}</div>{% endif %}
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
    {% if run.holdings %}<li>{{ words.nodes }} <b>{{ run.holdings | length }}</b></li>{% endif %}
    {% if run.modalities %}
    <li>{{ words.modalities }} <b>{{ run.modalities | reject("equalto", "fused") | join(", ") }}</b></li>
    {% endif %}
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
    {% for name, title in contents.items() %}<li><a href="#{{ name }}">{{ title }}</a></li>{% endfor %}

  </ul></nav>
</header>
"""

BODY = "\n".join(f'{{% if "{name}" in contents %}}{template}{{% endif %}}' for name, (_, template) in SECTIONS.items())

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
{BODY}
</main>
<footer>Written by Concord. The figures are in <code>result.json</code> and <code>metrics.jsonl</code> beside this page.</footer>
</body>
</html>
"""
