"""The page about metrics, rendered from their table. No process of the daemon imports this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.observe.metrics import METRICS, PREFIX

if TYPE_CHECKING:
    from granian_d.observe.metrics import Metric

_HEAD: Final = """\
# Metrics

Rendered from `granian_d/observe/metrics.py`.

```toml
[metrics]
enabled = true
port = 9090
```

    scrape_configs:
      - job_name: shop
        static_configs: [{targets: ["127.0.0.1:9090"]}]

A process of its own (`granian-d: metrics [shop]`) reads what workers and master write into shared
memory, and answers GET and HEAD at any path, over HTTP/1.1 and HTTP/2 without TLS, in the text
format 0.0.4 of Prometheus. A scrape touches neither a worker nor the master, so it is answered
while they hang. That process takes some 4 MB of its own, runs as the user of the workers, and is
started anew when it dies; `granianctl status` shows it. Metrics name no path, no peer and no
user, but whoever can connect can read them: the address is the machine's own by default.

The listening socket is the master's, like all others: an address that is taken fails the start
(exit status 71) or the reload, an upgrade in place keeps it, and scrapes go on while a stop
drains.

What a scrape tells is of its moment, but for memory: the kernel adds up pages for it, 1 ms for
each 100 MB of a worker, so it is looked at once in `metrics.scrape_interval` at most.
`worker_cpu_seconds_total` and the ages of requests are as of the last heartbeat, `listen_queue`
as of the master's last look, both once a second.

Counters are read as of one moment. In the microseconds in which the master adds what a worker that
left had counted, a scrape waits; should the master be stopped just then, it is answered 503: a
counter that falls would be taken for one that began anew.

## Workers and counters

`worker` is the number of the slot: a successor goes on in the same series. Counters of a series
never go backwards while the daemon lives: what a worker that left had counted is kept for its
slot, over respawns, reloads, upgrades in place and, in the store of the service manager, restarts
([upgrade.md](upgrade.md)); an upgrade to a release with other counters begins at 0. While one
worker relieves another, both are in the series. A slot without a worker is not told.

"""

_TAIL: Final = """
## What differs from Granian's

- The numbers of workers go on over respawns; Granian's begin at 0 again. `worker_lifetime` is a
  gauge: it does begin again.
- Each metric has HELP and TYPE, and the text ends with a line feed.
- `scrape_interval` delays nothing: Granian's workers send their counts that often.
- Other methods than GET and HEAD are answered 405.
- `workers_respawns_for_err` counts workers that were lost to an error whoever noticed: an exit, a
  start that failed (also of a reload that came to nothing), a loop that stood still, a request
  that did not end.
- `blocking_*` and `py_wait_cumulative` are of threads that the pool has. With one thread
  (`blocking_threads`) quick applications run on the loop's, and are not in them.
  `py_wait_cumulative` begins when the call is given to the pool, so the wait in `blocking_queue`
  is part of it, and `blocking_busy_cumulative` begins where it ends: the sum of both is the time
  of the calls.
- It works with `--reload`, too.

## Alerts

    groups:
      - name: granian
        rules:
          - alert: GranianErrors
            expr: >
              sum by (job) (rate(granian_responses_total{code="5xx"}[5m]))
              > 0.01 * sum by (job) (rate(granian_responses_total[5m]))
            for: 5m
          - alert: GranianSlow
            expr: >
              histogram_quantile(0.99, sum by (job, le)
              (rate(granian_request_duration_seconds_bucket[5m]))) > 1
            for: 10m
          - alert: GranianReloadFailing
            expr: granian_reload_failing == 1
          - alert: GranianWorkersDie
            expr: sum by (job) (increase(granian_workers_respawns_for_err[10m])) > 3
          - alert: GranianShort
            expr: granian_workers_serving < granian_workers_wanted
            for: 2m
          - alert: GranianFull
            expr: granian_listen_queue > 0 or sum by (job, instance) (granian_blocking_queue) > 0
            for: 2m
"""


def render() -> str:
    """The page."""
    head = ["| name | type | labels | what it is |", "|---|---|---|---|"]
    return _HEAD + "\n".join([*head, *map(_row, METRICS), ""]) + _TAIL


def _row(metric: Metric) -> str:
    cells = (f"`{PREFIX}{metric.name}`", metric.kind, metric.labels, metric.help)
    return f"| {' | '.join(cells)} |"
