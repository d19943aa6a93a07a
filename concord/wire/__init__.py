"""The language on the wire: protobuf messages of proto/, flat model groups, and how both ride in Flower records."""
