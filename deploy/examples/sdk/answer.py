"""Read what is new and answer what feedback is owed on: the client for programs that are not asynchronous.

    python answer.py NODE_FOLDER PLACE_FILE

Run it from a timer: it keeps its place in a file and begins there the next time.
"""

import sys
from pathlib import Path

from adapters import SyncClient
from adapters.notices import Feedback

with SyncClient.of_node(sys.argv[1]) as client:
    place_file = Path(sys.argv[2])
    place = int(place_file.read_text()) if place_file.exists() else 0

    for delivery in client.feed(after=place, follow=False):
        print("delivery", delivery.place, delivery.reference, delivery.type)
        place_file.write_text(str(delivery.place))  # after the work: what is cut comes again

    for due in client.feedback_due():
        client.feedback(due.delivery, Feedback(outcome="CHECKED_NO_FINDING"))
        print("answered", due.reference)
