"""The hub's stations: gateway, dispatcher, sequencer, inbox."""
