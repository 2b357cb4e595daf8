"""What a person looks at: the drawing of a cell, as SVG and as text, the curves of a run, and the report."""
