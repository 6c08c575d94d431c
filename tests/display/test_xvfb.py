from pathlib import Path

from chaser_server.display.xvfb import takes_socket, xvfb_argv


def test_the_screen_has_the_size_that_was_asked_for_in_24_bit():
    argv = xvfb_argv(412, 915)
    assert argv[argv.index("-screen") + 1 : argv.index("-screen") + 3] == ["0", "412x915x24"]


def test_nothing_of_the_x_server_can_be_reached_by_network_or_by_name():
    argv = xvfb_argv(1280, 720)
    assert [argv[at + 1] for at, word in enumerate(argv) if word == "-nolisten"] == ["tcp", "local"]


def test_the_framebuffer_and_the_display_number_go_where_they_are_wanted():
    argv = xvfb_argv(1280, 720, framebuffer_dir="/run/fb", display_fd=7, binary="/opt/Xvfb")
    assert argv[0] == "/opt/Xvfb"
    assert argv[argv.index("-fbdir") + 1] == "/run/fb"
    assert argv[argv.index("-displayfd") + 1] == "7"


def test_a_display_number_is_named_where_servers_share_a_directory_of_sockets():
    assert xvfb_argv(1280, 720, display=99)[1] == ":99"
    assert not any(word.startswith(":") for word in xvfb_argv(1280, 720))


def test_debians_x_server_takes_a_socket_and_one_that_nobody_knows_does_not(tmp_path: Path):
    assert takes_socket("Xvfb")
    other = tmp_path / "Xvfb"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert not takes_socket(str(other))
    assert not takes_socket("no-such-server")
