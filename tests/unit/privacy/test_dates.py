from vesalius.privacy.dates import is_time, shift_date, shift_date_time


def test_shifts_cross_months_years_and_leap_days():
    assert shift_date("20240301", 1) == "20240229"
    assert shift_date("20230301", 1) == "20230228"
    assert shift_date("20240101", 366) == "20221231"
    assert shift_date("2024.03.01", 1) == "20240229"


def test_what_is_no_date_is_none():
    for text in ("", "20241301", "20240230", "2024", "19", "00010101", "20240101-20240102", "Jane"):
        assert shift_date(text, 400) is None
    for text in ("", "2024", "202402", "Jane", "20240229Jane", "20240229101112+01"):
        assert shift_date_time(text, 1) is None


def test_the_time_and_offset_stay():
    assert shift_date_time("20240301", 1) == "20240229"
    assert shift_date_time("2024030110", 1) == "2024022910"
    assert shift_date_time("20240301101112.123456-0500", 1) == "20240229101112.123456-0500"


def test_times():
    assert all(is_time(text) for text in ("10", "1011", "101112", "10:11:12", "101112.5"))
    assert not any(is_time(text) for text in ("", "1", "10111", "1061", "ten"))
