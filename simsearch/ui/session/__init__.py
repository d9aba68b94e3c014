"""The script of a session, in a folder of its own: Streamlit looks for pages and modules beside it."""
