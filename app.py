"""The pages in the browser: `streamlit run app.py`, or `simsearch ui` from anywhere."""

from streamlit.starlette import App

from simsearch.ui.serving import app_options

app = App(**app_options())
