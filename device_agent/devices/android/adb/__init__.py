"""Speaking with an Android phone on a cable or in the network, without an adb server."""
