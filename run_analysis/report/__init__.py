"""Reports of runs: charts as Vega-Lite, receipts as SVG, and one self-contained HTML file."""
