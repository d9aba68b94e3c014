"""The Search page: a picture is given or chosen, and those like it are shown."""
