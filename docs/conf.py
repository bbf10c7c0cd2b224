"""Settings of the documentation site, built by `make docs`."""

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "_extensions"))

project = "sklearn_hessreg"
author = "The sklearn_hessreg developers"
copyright = author
version = release = installed_version("sklearn_hessreg")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "beside_sklearn",
    "clickable_images",
    "mathml",
    "outside_links",
    "parameter_groups",
    "tidy_code",
]
# the results are data, with a README for readers of the repository
exclude_patterns = ["_build", "results"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template lists them

# without MNIST that example is shown, not run
unrun = "" if os.environ.get("HESSREG_MNIST") else "(?!mnist)"
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": f"/plot_{unrun}",
    "ignore_pattern": r"(^|/)mnist\.py",  # the data for the others
    "within_subsection_order": "gallery_order.place",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_hessreg",),
    "inspect_global_variables": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "show_memory": False,
    "parallel": 2,
}

# prompts and outputs stay behind
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_hessreg"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
# these are in none of the four groups, whose pages stand beside each other
html_sidebars = {page: [] for page in ("index", "search", "genindex")}
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
# pages of wide tables have the room of the list of their sections
evidence = ["evidence", "evidence_details"]
wide = [*evidence, "speed", "distributed"]
html_theme_options = {
    "show_prev_next": False,
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["sphinx-version"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": {"**": ["page-toc"], **{page: [] for page in wide}},
}
