"""Pictures of runs: charts as Vega-Lite, receipts as SVG, and one HTML file that needs nothing else."""
