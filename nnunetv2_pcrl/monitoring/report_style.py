"""The look of the report: light or dark as the reader's system is, narrow or wide."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1d2430; --muted: #5c6675; --line: #dfe3e9;
  --accent: #2459a6; --warn: #8a4b00; --warn-card: #fff4e0; --good-card: #e7f6ee;
  --good: #1f7a4a; --neutral: #7b8490;
  --curve-0: #2f6db3; --curve-1: #c9551c; --curve-2: #23824e; --curve-3: #8a57b0;
  --curve-4: #a07a10; --curve-5: #b8406a; --curve-6: #2b8b9d; --curve-7: #5f6670;
  --low-level: #6b2a8f; --high-level: #d9a400;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1b212a; --text: #e6eaf0; --muted: #9aa5b4; --line: #313a47;
    --accent: #86b4f5; --warn: #ffc46b; --warn-card: #33280f; --good-card: #12301f;
    --good: #6fd39b; --neutral: #97a1af;
    --curve-0: #6ca8ee; --curve-1: #f08b57; --curve-2: #5cc48a; --curve-3: #bf93e3;
    --curve-4: #d9b443; --curve-5: #ef80a5; --curve-6: #5fc3d6; --curve-7: #a9b2be;
    --low-level: #a66ae0; --high-level: #f5d04a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; overflow-wrap: anywhere;
  background: var(--page); color: var(--text); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1480px; margin: 0 auto; padding: 24px clamp(12px, 3vw, 40px) 60px; }
h1 { font-size: clamp(1.35rem, 1rem + 1.5vw, 2rem); margin: 0 0 4px; line-height: 1.2; }
h2 { font-size: 1.15rem; margin: 36px 0 10px; }
p { margin: 6px 0; max-width: 80ch; }
.muted { color: var(--muted); }
a { color: var(--accent); }
.cards { display: grid; gap: 12px; margin: 14px 0;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.card, figure, .table, pre { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
.card { padding: 10px 14px; }
.card b { display: block; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
.card span { color: var(--muted); font-size: 0.85rem; }
.warning { background: var(--warn-card); color: var(--warn); border-left: 4px solid var(--warn);
  border-radius: 6px; padding: 8px 14px; margin: 8px 0; }
.good { background: var(--good-card); color: var(--good); border-left: 4px solid var(--good);
  border-radius: 6px; }
.verdict { font-size: 1.05rem; font-weight: 600; padding: 10px 14px; max-width: none; }
.card small { display: block; color: var(--muted); font-size: 0.74rem; line-height: 1.3; }
.chart p { font-size: 0.8rem; margin: 0 0 6px; line-height: 1.35; }
.cases { overflow-wrap: anywhere; font-size: 0.85rem; max-width: none; }
.charts { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
figure { margin: 0; padding: 10px 12px; }
figcaption { font-weight: 600; font-size: 0.92rem; margin-bottom: 4px; }
.chart svg { width: 100%; height: auto; display: block; }
.chart text { fill: var(--muted); font-size: 11px; }
.grid { stroke: var(--line); stroke-width: 1; }
polyline { fill: none; stroke-width: 1.9; stroke-linejoin: round; }
polyline.dashed { stroke-dasharray: 6 4; }
polyline.dotted { stroke-dasharray: 2 4; }
circle { opacity: 0.9; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 0.8rem; color: var(--muted); }
.legend span { display: inline-flex; align-items: center; }
.legend i { flex: none; width: 20px; border-top: 3px solid; vertical-align: middle;
  margin-right: 5px; }
.legend i.dashed { border-top-style: dashed; }
.legend i.dotted { border-top-style: dotted; }
.pictures { display: grid; gap: 14px; grid-template-columns: minmax(0, 1fr); }
.picture { background: #ffffff; color: #1d2430; overflow-x: auto; }
.picture img { display: block; min-width: min(100%, 900px); width: 100%; max-width: 1700px;
  height: auto; }
@media (max-width: 700px) { .picture img { width: 1000px; max-width: none; } }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
th, td { padding: 5px 12px; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
thead th { position: sticky; top: 0; background: var(--card); color: var(--muted); }
td { overflow-wrap: anywhere; min-width: 7ch; }
td:first-child { color: var(--muted); width: 26ch; overflow-wrap: normal; }
.numbers { max-height: 420px; overflow: auto; }
.numbers td { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.numbers th { text-align: right; }
details { margin: 10px 0; }
summary { cursor: pointer; color: var(--accent); }
pre { padding: 12px 14px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.85rem; }
@media print { body { background: white; } figure { break-inside: avoid; } }
"""
