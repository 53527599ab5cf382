"""The dashboard: what its pages share, and a package for each page.

A page has a view (what it shows, gathered from the store), charts, a route and a template.
"""
