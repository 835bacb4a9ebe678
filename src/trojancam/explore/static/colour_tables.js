/** Colour maps as tables of 256 RGB bytes in base64: those of `trojancam.figures.colour`, made from matplotlib's. */
export const TABLES = {
  OrRd:
    "//fs//fr//bq//bp//Xn//Xm//Tl//Tk//Pj//Pi//Lh//Lg//He//Hd//Dc//Db/u/a/u/Z/u/Y/u7X/u7V/u3U/u3T/uzS/uzR/uvQ/uvP/urO" +
    "/urM/unL/unK/ujJ/ujI/ufH/ufF/ubE/uXD/uXB/uTA/uS//uO9/uK8/uK7/uG5/uC4/uC3/t+1/t+0/d6z/d2x/d2w/dyv/dut/dus/dqr/dmq" +
    "/dmo/din/dim/dek/daj/dai/dWg/dSf/dSe/dOd/dKc/dGb/dGb/dCa/c+Z/c6Y/c6X/c2W/cyW/cuV/cqU/cqT/cmS/ciS/ceR/caQ/caP/cWO" +
    "/cSN/cON/cOM/cKL/cGK/cCJ/b+J/b+I/b6H/b2G/byF/buF/bqD/bmC/biB/bZ//bV+/bN9/bJ7/bB6/a95/a13/ax2/at1/alz/ahy/aZx/aVv" +
    "/KNu/KJt/KBr/J9q/J5p/Jxn/Jtm/Jlk/Jhj/JZi/JVg/JNf/JJe/JFc/I9b/I5a/IxZ+4tY+4pY+4lX+odX+oZW+YVW+YRV+YJU+IFU+IBT939T" +
    "931S9nxS9ntR9npR9XhQ9XdQ9HZP9HVP9HNO83JO83FN8nBM8m5M8m1L8WxL8WpK8GlK8GhJ8GdJ72VI72RH7mJG7WFF7F9D7F1C61xB6lo/6Vg+" +
    "6Vc96FU851M65lI55VA45U425E0140s04kkz4kgx4UYw4EQv30Mt30Es3j8r3T4q3Dwo3Don2zkm2jck2TUj2TQi2DIh1zAf1i8e1S0d1Cwc0yob" +
    "0ika0ScZzyYYziQXzSMWzCEWyyAVyh4UyR0TxxsSxhoRxRgQxBcPwxUOwhQNwRIMwBELvg8KvQ4JvAwIuwsHugkGuQgFuAYEtwUDtQMCtAIBswAA" +
    "sgAAsAAArgAArQAAqwAAqQAAqAAApgAApQAAowAAoQAAoAAAngAAnAAAmwAAmQAAlwAAlgAAlAAAkwAAkQAAjwAAjgAAjAAAigAAiQAAhwAAhgAA" +
    "hAAAggAAgQAAfwAA",
  RdBu_r:
    "BTBhBjJkBzRnCDZqCThtCjtwDD1zDT92DkF5D0N7EEV+EUeBEkmEE0yHFE6KFVCNF1KQGFSTGVaWGliZG1qcHFyfHV+iHmGlH2OoIGWrImesI2mt" +
    "JGquJmyvJ26wKHCxKnGyK3OzLHW0Lne1L3m1MHq2Mny3M364NIC5NoG6N4O7OIW8Ooe9O4i+PIq+Poy/P47AQI/BQpHCQ5PDRpXESZfFTJnGT5vH" +
    "Up3IVp/JWaHKXKPLX6XNYqfOZanPaKvQa6zRbq7ScbDTdbLUeLTVe7bWfrjXgbrYhLzZh77aisDbjcLckMTdk8belsffmMjgm8ngncvhoMzios3j" +
    "pc7jp9DkqdHlrNLlrtPmsdXns9bottfouNjpu9rqvdvqwNzrwt3sxd/sx+DtyuHuzOLvz+Tv0eXw0ubw1Obx1efx1+jx2Onx2uny2+ry3evy3uvy" +
    "4Ozz4e3z4+3z5O705u/05/D06fD06vH17PL17fL17/P18PT28vX28/X29fb39vf39/b29/X0+PTy+PPw+PLv+PHt+fDr+e/p+e7n+e3l+evj+urh" +
    "+unf+uje+ufc++ba++XY++TW++PU/OLS/ODQ/N/P/N7N/d3L/dzJ/dvH/dnE/NfC/NW//NO8+9C5+863+8y0+sqx+siv+cas+cSp+cKn+L+k+L2h" +
    "+Lue97mc97eZ97WW9rOU9rGR9q+O9ayL9aqJ9aiG9KaD86SB8qF/8Z598Jx775l57pZ37JN065Fy6o5w6Ytu6Ils5oZq5YNo5IBm435k4nti4Xhg" +
    "33Ze3nNc3XBZ3G5X22tV2mhT2GVR12NP1mBN1V1M01pK0lhJ0FVIz1JGzk9FzExEy0lCyUdByERAxkE+xT49xDs8wjg6wTY5vzM4vjA2vS01uyo0" +
    "uigyuCUxtyIwth8utBwtsxkssRgrrhcqqxYqqBUppRQpohMonxIonBEnmRAnlg8nkw4mkA0mjQwligslhwokhAkkgQgjfwgjfAcieQYidgUhcwQh" +
    "cAMgbQIgagEfZwAf",
  viridis:
    "RAFURAJWRQRXRQVZRgdaRghcRgpdRgteRw1gRw5hRxBjRxFkRxNlSBRnSBZoSBdpSBhqSBpsSBttSBxuSB1vSB9wSCBxSCFzSCN0SCR1SCV2SCZ3" +
    "SCh4SCl5Ryp6Ryx6Ry17Ry58Ry99RjB+RjJ+RjN/RjSARTWBRTeBRTiCRDmDRDqDRDuEQz2EQz6FQj+FQkCGQkGGQUKHQUSHQEWIQEaIP0eIP0iJ" +
    "PkmJPkqJPkyKPU2KPU6KPE+KPFCLO1GLO1KLOlOLOlSMOVWMOVaMOFiMOFmMN1qMN1uNNlyNNl2NNV6NNV+NNGCNNGGNM2KNM2ONMmSOMmWOMWaO" +
    "MWeOMWiOMGmOMGqOL2uOL2yOLm2OLm6OLm+OLXCOLXGOLHGOLHKOLHOOK3SOK3WOKnaOKneOKniOKXmOKXqOKXuOKHyOKH2OJ36OJ3+OJ4COJoGO" +
    "JoKOJoKOJYOOJYSOJYWOJIaOJIeOI4iOI4mOI4qNIouNIoyNIo2NIY6NIY+NIZCNIZGMIJKMIJKMIJOMH5SMH5WLH5aLH5eLH5iLH5mKH5qKHpuK" +
    "HpyJHp2JH56JH5+IH6CIH6GIH6GHH6KHIKOGIKSGIaWFIaaFIqeFIqiEI6mDJKqDJauCJayCJq2BJ62BKK6AKa9/KrB/LLF+LbJ9LrN8L7R8MbV7" +
    "MrZ6NLZ5Nbd5N7h4OLl3Orp2O7t1Pbx0P7xzQL1yQr5xRL9wRsBvSMFuSsFtTMJsTsNrUMRqUsVpVMVoVsZnWMdlWshkXMhjXsliYMpgY8tfZcte" +
    "Z8xcac1bbM1abs5YcM9Xc9BWddBUd9FTetFRfNJQf9NOgdNNhNRLhtVJidVIi9ZGjtZFkNdDk9dBldhAmNg+m9k8ndk7oNo5oto3pds2qNs0qtwy" +
    "rdwwsN0vst0ttd4ruN4put4ovd8mwN8lwt8jxeAhyOAgyuEfzeEd0OEc0uIb1eIa2OIZ2uMZ3eMY3+MY4uQY5eQZ5+QZ6uUa7OUb7+Uc8eUd9OYe" +
    "9uYg+OYh++cj/ecl",
};
