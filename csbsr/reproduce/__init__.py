"""From experiments to tables, figures, claims and the rendered book."""
