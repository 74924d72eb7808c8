"""Configuration of the documents. They build without a network."""

import os
import shutil
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

import cubekit

project = "cubekit"
author = "The cubekit developers"
copyright = "The cubekit developers"
release = version = cubekit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
]
exclude_patterns = ["_build"]
templates_path = []

# links to other projects need a network
if os.environ.get("CUBEKIT_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable/", None),
        "xarray": ("https://docs.xarray.dev/en/stable/", None),
    }

autodoc_typehints = "none"  # numpydoc has them in the parameters
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

# pages that have no pages below them need no list of those
html_sidebars = {
    page: []
    for page in (
        *("index", "quickstart", "concepts", "gallery", "api", "coming_from"),
        *("develop", "changelog", "notebooks/*"),
    )
}
html_math_renderer = "mathml"

html_theme = "pydata_sphinx_theme"
html_title = "cubekit"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}
html_show_sourcelink = False

# notebooks are kept in one place, and built from a copy
_here = Path(__file__).parent
_copies = _here / "notebooks"
shutil.rmtree(_copies, ignore_errors=True)
shutil.copytree(
    _here.parent / "notebooks",
    _copies,
    ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
)


def _inline(translator, node):
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _display(translator, node):
    translator.body.append(convert(node.astext(), display="block"))
    raise nodes.SkipNode


def _cards(app, doctree, docname):
    """Put a picture of each notebook, of its cell tagged gallery, on that page."""
    if docname != "gallery":
        return
    cards = nodes.container(classes=["cards"])
    for name in sorted(app.env.found_docs):
        if not name.startswith("notebooks/"):
            continue
        page = app.env.get_doctree(name)
        tagged = (
            image
            for cell in page.findall(nodes.container)
            if "tag_gallery" in cell["classes"]
            for image in cell.findall(nodes.image)
        )
        title = app.env.titles[name].astext()
        address = app.builder.get_relative_uri(docname, name)
        card = nodes.reference("", "", internal=True, refuri=address)
        card += next(tagged).deepcopy()
        card += nodes.Text(title)
        cards += nodes.paragraph("", "", card)
    next(doctree.findall(nodes.section)).append(cards)


def setup(app):
    app.connect("doctree-resolved", _cards)
    # MathML needs no script, hence no network, neither here nor where it is read
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
