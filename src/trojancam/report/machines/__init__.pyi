from . import junit, markdown, outcome, outcomes, rules, sarif, writing

__all__ = ["junit", "markdown", "outcome", "outcomes", "rules", "sarif", "writing"]
