import sys, triveni
box = triveni.Segment.open_or_create("hello").mailbox("greetings")
if sys.argv[1:] == ["send"]:
    box.send("Hello from Python".encode())
else:
    print(box.receive().decode())
