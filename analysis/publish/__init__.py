"""Results to documents: notebooks run once, then rendered to HTML and PDF by Quarto or by the embedded renderer."""
