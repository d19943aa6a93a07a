"""The sections of the page, one template each, in the order in which they come."""

ACCURACY = """
<section id="accuracy"><h2>Accuracy</h2>
{% if run.accuracy or node_rows %}
<p class="lead">{% if run.of_agents %}The agents of each kind, each with its own model on its own test samples.
{%- elif run.of_graphs %}Nodes of the graph whose classes nobody learnt from, each by the party that holds it.
{%- else %}The global model on the test samples of all nodes that hold a modality.{% endif %}
{%- if run.rounds_kept and not run.of_agents %} Shaded: rounds that kept the old model.{% endif %}</p>
<div class="grid">{{ figures(accuracy_charts) }}</div>
{% if run.accuracy %}
<div class="scroll"><table>
  <caption>{{ "At the end" if run.result else "Latest" }}, by {{ words.modality | lower }}</caption>
  <thead><tr>{{ th(words.modality) }}
    {% for split in run.splits %}{{ th(split ~ " split") }}{% endfor %}
    {% if run.result %}{% for split in run.splits %}{{ th(split ~ " samples", "number") }}{% endfor %}{% endif %}</tr></thead>
  <tbody>
  {% for name in run.predictions %}
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
<details{{ " open" if node_rows | length <= 24 }}><summary>By {{ words.node | lower }}</summary>
<div class="scroll"><table>
  <thead><tr>{{ th(words.node) }}{{ th(words.modality) }}
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

SLICES = """
<section id="slices"><h2>Slices</h2>
{% if slice_tables %}
<p class="lead">What the agents of each kind predict from all slices, without one of them, and from one alone: redundant is what
modalities have in common, unique what one of them has, synergistic what only all together have.</p>
{% for table in slice_tables %}
<div class="scroll"><table>
  <caption>{{ "At the end" if run.result else "Latest" }}, {{ table.split }} split</caption>
  <thead><tr>{{ th("Predicted from") }}{% for kind in table.kinds %}<th scope="col">{{ tag(kind) }}</th>{% endfor %}</tr></thead>
  <tbody>
  {% for name, values in table.rows %}
  <tr><th scope="row">{{ name }}</th>
    {% for value in values %}<td>{{ measure(value, run.slots[table.kinds[loop.index0]]) }}</td>{% endfor %}</tr>
  {% endfor %}
  </tbody>
</table></div>
{% endfor %}
{% else %}<p class="quiet">Not measured: it takes method <code>parse</code> or <code>dsgd-modality-sliced</code>.</p>{% endif %}
</section>
"""

RANKING = """
<section id="ranking"><h2>Ranking</h2>
{% if ranking_rows %}
<p class="lead">{% if run.task == "links" %}Among nodes that are linked to a node and nodes that are not, how high the linked one
ranks; the links were held out of the graph.
{%- else %}How high a node ranks among nodes that nobody learnt from, when it is looked for by one modality among the views of
another.{% endif %} Questions are about the nodes of each party.</p>
<div class="grid">{{ figures(ranking_charts) }}</div>
<div class="scroll"><table>
  <caption>{{ "At the end" if run.result else "Latest" }}</caption>
  <thead><tr>{{ th("Questions") }}{{ th("Split") }}{{ th("Mean reciprocal rank") }}{{ th("First", "number") }}
    {{ th("Among ten", "number") }}{{ th("By chance", "number") }}{{ th("Questions", "number") }}</tr></thead>
  <tbody>
  {% for split, kind, one in ranking_rows %}
  <tr><th scope="row">{{ kind | replace("->", " → ") }}</th><td>{{ split }}</td>
    <td><div class="measure">{{ bar(one.mrr, palette.ANSWERS, one.chance) }}{{ one.mrr | score }}</div></td>
    {{ n(one.hits_at_1 | percent) }}{{ n(one.hits_at_10 | percent) }}
    {{ n(one.chance | score) }}{{ n(one.questions | whole) }}</tr>
  {% endfor %}
  </tbody>
</table></div>
{% else %}<p class="quiet">Nothing has been ranked yet.</p>{% endif %}
</section>
"""

ABSENT = """
<section id="absent"><h2>Without a modality</h2>
{% if absent_rows %}
<p class="lead">The same predictions with a modality absent at inference, though it was there while learning.</p>
<div class="scroll"><table>
  <caption>{{ "At the end" if run.result else "Latest" }}</caption>
  <thead><tr>{{ th("Predicted from") }}{% for split in run.splits %}{{ th(split ~ " split") }}{% endfor %}</tr></thead>
  <tbody>
  {% for name, values in absent_rows %}
  <tr><th scope="row">{{ name }}</th>
    {% for split in run.splits %}<td>{{ measure(values.get(split), run.slots["fused"]) }}</td>{% endfor %}</tr>
  {% endfor %}
  </tbody>
</table></div>
{% else %}<p class="quiet">Not measured: the graph has one modality.</p>{% endif %}
</section>
"""

PROTOTYPES = """
<section id="prototypes"><h2>Prototype space</h2>
{% if prototypes %}
<p class="lead">What the nodes of each party are like at each anchor, as directions in the space that all share, and the merged
prototype to which a line leads; the larger, the more nodes. Before: each party has learnt alone. Mean distance to the merged
prototypes, of 2 at most:
{% for round, distance in prototypes.distances %}<b>{{ distance | score }}</b> after round {{ round }}
{{- "." if loop.last else ", " }}{% endfor %}</p>
<ul class="legend">{% for name, mark in prototypes.legend %}<li>{{ mark }}{{ name }}</li>{% endfor %}</ul>
<div class="grid">{{ figures(prototypes.pictures) }}
<figure><figcaption>Distance to the merged prototypes, by round</figcaption>{{ prototypes.course }}</figure></div>
{% else %}<p class="quiet">Not told yet: it takes a round that counted.</p>{% endif %}
{% if grounding %}
<p>Of <b>{{ grounding["asked"] | whole }}</b> labelled nodes of all parties, <b>{{ grounding["right"] | whole }}</b> are nearest
to the mean of their class among those of all parties, {{ grounding["right-alone"] | whole }} among those of their own party,
{{ grounding["right-bare"] | whole }} there by their features alone, none counting itself: parties
{{ "learn" if grounding["worth-it"] else "do not learn" }}
from the class means of others.</p>
{% endif %}
</section>
"""

HOMOPHILY = """
<section id="homophily"><h2>Temperature by homophily</h2>
{% if homophily_charts %}
<p class="lead">How nodes listen to their neighbours, by the share of these that have their class: at a low temperature to those
that are most like them, at a high one to all alike; the gate is what their neighbours count against themselves. Means over the
nodes of all parties at the end; a party does not tell of fewer than five.</p>
<div class="grid">{{ figures(homophily_charts) }}</div>
{% else %}<p class="quiet">Not told: parties tell of it at the end, of five nodes or more that are alike in it.</p>{% endif %}
</section>
"""

AGREEMENT = """
<section id="agreement"><h2>Agreement between modalities</h2>
{% if cka_map or cka_charts %}
<p class="lead">Centred kernel alignment of the anchors' Gram matrices: 1 where two modalities arrange the concepts alike.</p>
<div class="grid">{{ figures(cka_charts) }}{% if cka_map %}{{ matrix(cka_map, "") }}{% endif %}</div>
{% else %}<p class="quiet">Not measured: it takes two modalities with anchors.</p>{% endif %}
</section>
"""

RETRIEVAL = """
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

WEIGHTS = """
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
{% if gap_chart %}
<div class="grid">
<figure><figcaption>Direction gap by round, parts per million</figcaption>{{ gap_chart }}</figure>
<p class="quiet">How far the average of the nodes' directions is from the direction of the average, which DoRA renormalises:
the norm of the difference relative to that of the latter, mean over the layers.</p>
</div>
{% endif %}
</section>
"""

TRAFFIC = """
<section id="traffic"><h2>Traffic</h2>
{% if byte_chart %}
<p class="lead">Contents of all messages:
<span class="tag" style="{{ palette.colour(palette.UP) }}">up, from the {{ words.nodes }}</span>
and <span class="tag" style="{{ palette.colour(palette.DOWN) }}">down, to the {{ words.nodes }}</span>
{%- if run.of_agents %}; the server only forwards{% endif %}.</p>
<div class="grid">
<figure><figcaption>All {{ words.nodes }}, by round</figcaption>{{ byte_chart }}</figure>
{% if run.result and run.result.bytes.nodes %}
<div class="scroll"><table>
  <caption>Whole run, by {{ words.node | lower }}</caption>
  <thead><tr>{{ th(words.node) }}{{ th("Up", "number") }}{{ th("Down", "number") }}</tr></thead>
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
    {{ th("Down", "number") }}{% if not run.of_agents %}{{ th("Model") }}{% endif %}</tr></thead>
  <tbody>
  {% for row in round_rows %}
  <tr><th scope="row">{{ row.name }}</th>{{ n(row.seconds | duration) }}
    {{ n(row.asked | whole) }}{{ n(row.replies | whole) }}{{ n(row.rejected | whole) }}
    {{ n(row.up | size) }}{{ n(row.down | size) }}
    {% if not run.of_agents %}<td>{{ row.model }}</td>{% endif %}</tr>
  {% endfor %}
  </tbody>
</table></div></details>
{% else %}<p class="quiet">No round has ended yet.</p>{% endif %}
</section>
"""

REJECTIONS = """
<section id="rejections"><h2>Rejected replies</h2>
{% if run.rejections %}
<p class="lead">Replies that failed a check and were {{ "not forwarded" if run.of_agents else "left out of the average" }}.
{%- if run.rounds_kept %} Too few good replies: {{ rounds(run.rounds_kept) }}
{{ "forwarded nothing" if run.of_agents else "kept the old model" }}.{% endif %}</p>
<div class="scroll"><table>
  <thead><tr>{{ th("Round") }}{{ th(words.node) }}{{ th("Reason") }}{{ th("Detail") }}</tr></thead>
  <tbody>
  {% for one in run.rejections %}
  <tr><th scope="row">{{ one.round or "census" }}</th><td class="wrap">{{ one.node }}</td><td><code>{{ one.reason }}</code></td>
    <td class="wrap">{{ one.detail }}</td></tr>
  {% endfor %}
  </tbody>
</table></div>
{% else %}<p class="quiet">None.
{%- if run.rounds_kept %} Too few replies came in {{ rounds(run.rounds_kept) }}:
{{ "nothing was forwarded" if run.of_agents else "the old model was kept" }}.{% endif %}</p>{% endif %}
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

SECTIONS = {  # by id: how the page's contents name it, and its template
    "accuracy": ("Accuracy", ACCURACY),
    "slices": ("Slices", SLICES),
    "ranking": ("Ranking", RANKING),
    "absent": ("Without a modality", ABSENT),
    "prototypes": ("Prototype space", PROTOTYPES),
    "homophily": ("Temperature by homophily", HOMOPHILY),
    "agreement": ("Agreement", AGREEMENT),
    "retrieval": ("Retrieval", RETRIEVAL),
    "weights": ("Weights", WEIGHTS),
    "traffic": ("Traffic", TRAFFIC),
    "rejections": ("Rejected replies", REJECTIONS),
    "run": ("The run", RUN),
}
LEFT_OUT = {  # by whom a run is of, or its task on a graph: the sections that say nothing there
    "samples": ("slices", "ranking", "absent"),
    "agents": ("ranking", "absent", "agreement", "retrieval", "weights"),
    "classes": ("slices", "ranking", "agreement", "retrieval"),
    "links": ("accuracy", "slices", "absent", "agreement", "retrieval"),
    "retrieval": ("accuracy", "slices", "absent", "agreement", "retrieval"),
}
