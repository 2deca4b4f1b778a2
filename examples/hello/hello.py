import sys, triveni
box = triveni.Segment.open_or_create("hello").mailbox("greetings")
if sys.argv[1:] == ["send"]:
    box.send(b"hello from Python")
else:
    print(box.receive().decode())
