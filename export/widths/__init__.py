"""The command that compares folders of variants, so that an app can choose a width."""
