"""The pages in the browser, by Streamlit: `simsearch ui`."""
